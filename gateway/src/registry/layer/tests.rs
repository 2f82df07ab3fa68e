use flate2::{Compression, write::GzEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, Header};

use super::*;

impl Sink for Vec<u8> {
    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

/// An entry: its kind, its name as it stands there, and its contents or where it leads.
type Made<'a> = (EntryType, &'a str, &'a [u8]);

const FILE: EntryType = EntryType::Regular;
const FOLDER: EntryType = EntryType::Directory;

fn header(kind: EntryType, name: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    // As bytes: the library refuses some of these names.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn archive(entries: &[Made<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, contents) in entries {
        if matches!(*kind, EntryType::Symlink | EntryType::Link) {
            let mut header = header(*kind, name, 0);
            header.set_link_name_literal(contents).unwrap();
            header.set_cksum();
            builder.append(&header, io::empty()).unwrap();
        } else {
            builder
                .append(&header(*kind, name, contents.len() as u64), *contents)
                .unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What the layers, from the uppermost down, have at a path.
fn find(path: &str, layers: &[&[Made<'_>]]) -> Result<Option<Vec<u8>>, Unread> {
    let mut search = Search::new(path);
    for layer in layers {
        let mut sink = Vec::new();
        match search.layer(&*packed(&archive(layer)), Packing::Gzip, &mut sink)? {
            Said::Here(_) => return Ok(Some(sink)),
            Said::Gone => return Ok(None),
            Said::Nothing => {}
        }
    }
    Ok(None)
}

fn found(path: &str, layers: &[&[Made<'_>]]) -> Option<String> {
    find(path, layers)
        .unwrap()
        .map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_file_is_the_one_of_the_uppermost_layer_and_the_last_of_that() {
    let below: &[Made<'_>] = &[(FILE, "a.wasm", b"below"), (FILE, "b.wasm", b"b")];
    let above: &[Made<'_>] = &[(FILE, "./a.wasm", b"first"), (FILE, "/a.wasm", b"last")];
    assert_eq!(found("a.wasm", &[above, below]).unwrap(), "last");
    assert_eq!(found("b.wasm", &[above, below]).unwrap(), "b");
    assert_eq!(found("c.wasm", &[above, below]), None);
    let deep: &[Made<'_>] = &[(FOLDER, "app/", b""), (FILE, "app/x/a.wasm", b"deep")];
    assert_eq!(found("app/x/a.wasm", &[deep]).unwrap(), "deep");
    assert_eq!(found("a.wasm", &[deep]), None);
}

#[test]
fn what_an_upper_layer_takes_away_is_not_there() {
    let below: &[Made<'_>] = &[(FILE, "app/a.wasm", b"below"), (FILE, "app/b.wasm", b"b")];
    for above in [
        (FILE, "app/.wh.a.wasm"),
        (FILE, ".wh.app"),
        (FILE, "app/.wh..wh..opq"),
        (FILE, ".wh..wh..opq"),
        (FILE, "app"),
        (EntryType::Symlink, "app"),
    ] {
        let layer: &[Made<'_>] = &[(above.0, above.1, b"")];
        assert_eq!(found("app/a.wasm", &[layer, below]), None, "{above:?}");
        // What takes away says nothing of its own layer.
        let both: &[Made<'_>] = &[(above.0, above.1, b""), (FILE, "app/a.wasm", b"above")];
        assert_eq!(
            found("app/a.wasm", &[both, below]).unwrap(),
            "above",
            "{above:?}"
        );
    }
    for other in [
        "app/.wh.b.wasm",
        ".wh.other",
        "other/.wh..wh..opq",
        "app/a.wasm/.wh..wh..opq",
        "app/x/.wh.a.wasm",
    ] {
        let layer: &[Made<'_>] = &[(FILE, other, b"")];
        assert_eq!(
            found("app/a.wasm", &[layer, below]).unwrap(),
            "below",
            "{other}"
        );
    }
}

#[test]
fn names_that_lead_elsewhere_are_no_name_of_the_file() {
    for name in [
        "../a.wasm",
        "x/../a.wasm",
        "/../a.wasm",
        "a.wasm/..",
        "a.wasm\u{1}",
        "./x/a.wasm",
        "A.wasm",
        "a.wasm ",
    ] {
        let layer: &[Made<'_>] = &[(FILE, name, b"evil")];
        assert_eq!(found("a.wasm", &[layer]), None, "{name}");
    }
}

#[test]
fn links_folders_and_devices_are_told_and_not_followed() {
    for (kind, to, words) in [
        (
            EntryType::Symlink,
            "/etc/passwd",
            "a link to \"/etc/passwd\"",
        ),
        (EntryType::Symlink, "b.wasm", "a link to \"b.wasm\""),
        (EntryType::Link, "../../etc/shadow", "a link to"),
        (FOLDER, "", "a folder"),
        (EntryType::Char, "", "neither"),
        (EntryType::Fifo, "", "neither"),
    ] {
        let layer: &[Made<'_>] = &[(FILE, "b.wasm", b"b"), (kind, "a.wasm", to.as_bytes())];
        match find("a.wasm", &[layer]) {
            Err(Unread::Odd(told)) => assert!(told.contains(words), "{told}"),
            other => panic!("{kind:?}: {other:?}"),
        }
        // One that a file takes the place of is none.
        let layer: &[Made<'_>] = &[(kind, "a.wasm", to.as_bytes()), (FILE, "a.wasm", b"a")];
        assert_eq!(found("a.wasm", &[layer]).unwrap(), "a");
    }
}

#[test]
fn long_names_are_read_and_what_is_too_long_is_refused() {
    let long = format!("{}/a.wasm", "x".repeat(200));
    let mut gnu = Builder::new(Vec::new());
    let mut header_of_long = Header::new_gnu();
    header_of_long.set_size(0);
    header_of_long.set_mode(0o644);
    gnu.append_data(&mut header_of_long, &long, io::empty())
        .unwrap();
    let mut named = archive(&[
        (EntryType::XHeader, "pax", b"15 path=a.wasm\n"),
        (FILE, "other", b"by pax"),
    ]);
    let mut sink = Vec::new();
    let mut search = Search::new("a.wasm");
    assert_eq!(
        search.layer(&*named, Packing::None, &mut sink).unwrap(),
        Said::Here(6)
    );
    assert_eq!(sink, b"by pax");
    let mut search = Search::new(&long);
    let gnu = gnu.into_inner().unwrap();
    assert_eq!(
        search.layer(&*gnu, Packing::None, &mut sink).unwrap(),
        Said::Here(0)
    );
    // The name before one entry is not that of the next.
    named = archive(&[
        (EntryType::XHeader, "pax", b"15 path=b.wasm\n"),
        (FILE, "other", b"x"),
        (FILE, "a.wasm", b"a"),
    ]);
    let mut search = Search::new("a.wasm");
    assert_eq!(
        search.layer(&*named, Packing::None, &mut sink).unwrap(),
        Said::Here(1)
    );
    let mut endless = header(EntryType::GNULongName, "././@LongLink", 1 << 40)
        .as_bytes()
        .to_vec();
    endless.extend(vec![b'x'; 10_000]);
    let refused = Search::new("a.wasm").layer(&*endless, Packing::None, &mut sink);
    assert!(
        matches!(refused, Err(Unread::TooLarge("a name", ..))),
        "{refused:?}"
    );
}

#[test]
fn an_entry_with_two_lengths_is_refused() {
    let layer: &[Made<'_>] = &[
        (EntryType::XHeader, "pax", b"12 size=512\n"),
        (FILE, "a.wasm", b"a"),
    ];
    assert!(matches!(find("a.wasm", &[layer]), Err(Unread::Odd(told)) if told.contains("two lengths")));
}

#[test]
fn what_is_broken_or_cut_is_refused() {
    let layer = packed(&archive(&[(FILE, "a.wasm", &[7; 5000])]));
    let mut sink = Vec::new();
    for broken in [
        &layer[..layer.len() / 2],
        b"no gzip",
        &packed(b"no tar, and long enough to be taken for one")[..],
    ] {
        let read = Search::new("a.wasm").layer(broken, Packing::Gzip, &mut sink);
        assert!(matches!(read, Err(Unread::Odd(_))), "{read:?}");
    }
    // A file that is announced and ends before its end.
    let plain = archive(&[(FILE, "a.wasm", &[7; 5000])]);
    let read = Search::new("a.wasm").layer(&plain[..2000], Packing::None, &mut sink);
    assert!(matches!(read, Err(Unread::Odd(_))), "{read:?}");
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// A frame that is to be skipped (RFC 8878, "Skippable Frames").
fn skipped(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [
        &0x184D_2A5E_u32.to_le_bytes()[..],
        &length.to_le_bytes(),
        bytes,
    ]
    .concat()
}

#[test]
fn frames_of_zstandard_are_read_one_behind_the_other_and_some_are_skipped() {
    let whole = archive(&[(FILE, "b.wasm", b"b"), (FILE, "a.wasm", &[7; 500_000])]);
    let (first, rest) = whole.split_at(700);
    let pieces = [
        skipped(b"before"),
        frame(first),
        frame(b""),
        skipped(&[0; 70_000]),
        frame(rest),
        skipped(b"behind"),
    ];
    let layer = pieces.concat();
    let mut sink = Vec::new();
    let read = Search::new("a.wasm").layer(&*layer, Packing::Zstd, &mut sink);
    assert_eq!(read.unwrap(), Said::Here(500_000));
    assert_eq!(sink, [7; 500_000]);

    let long = frame(&whole);
    let cut = &long[..long.len() - 4];
    let half_skipped = &skipped(&[0; 1000])[..500];
    for broken in [
        cut,
        half_skipped,
        b"no zstandard",
        &packed(&whole)[..],
        // A window of a GiB.
        &[0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA0, 0x01, 0x00, 0x00],
    ] {
        let read = Search::new("a.wasm").layer(broken, Packing::Zstd, &mut sink);
        assert!(matches!(read, Err(Unread::Odd(_))), "{read:?}");
    }
}

#[test]
fn what_zstandard_packs_to_nothing_is_unpacked_to_a_bound() {
    let zeros = frame(&vec![0; 64 << 20]);
    let mut bomb = frame(header(FILE, "b.wasm", 2 * MAX_UNPACKED).as_bytes());
    bomb.extend(zeros.repeat(usize::try_from(MAX_UNPACKED >> 26).unwrap() + 1));
    assert!(bomb.len() < 16 << 20);
    let mut search = Search::new("a.wasm");
    let refused = search.layer(&*bomb, Packing::Zstd, &mut Vec::new());
    assert!(matches!(refused, Err(Unread::TooLarge(..))), "{refused:?}");
}

#[test]
fn what_is_packed_to_nothing_is_unpacked_to_a_bound_over_all_layers() {
    /// As many zeros as a file of this size has, packed a mebibyte at a time.
    fn bomb(size: u64) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder
            .write_all(header(FILE, "zeros", size).as_bytes())
            .unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..size >> 20 {
            encoder.write_all(&zeros).unwrap();
        }
        encoder.finish().unwrap()
    }
    let half = bomb(MAX_UNPACKED / 2);
    assert!(half.len() < 16 << 20);
    let mut sink = Vec::new();
    let mut search = Search::new("a.wasm");
    assert_eq!(
        search.layer(&*half, Packing::Gzip, &mut sink).unwrap(),
        Said::Nothing
    );
    let refused = search.layer(&*half, Packing::Gzip, &mut sink);
    assert!(matches!(refused, Err(Unread::TooLarge(..))), "{refused:?}");
    // A file that is too large is not copied.
    let large = header(FILE, "a.wasm", MAX_COMPONENT + 1)
        .as_bytes()
        .to_vec();
    let refused = Search::new("a.wasm").layer(&*large, Packing::None, &mut sink);
    assert!(
        matches!(refused, Err(Unread::TooLarge("the file", ..))),
        "{refused:?}"
    );
    assert!(sink.is_empty());
}

#[test]
fn the_components_in_the_root_are_told() {
    let below: &[Made<'_>] = &[
        (FILE, "a.wasm", b""),
        (FILE, "b.wasm", b""),
        (FILE, "app/c.wasm", b""),
        (FILE, "d.txt", b""),
    ];
    let above: &[Made<'_>] = &[(FILE, ".wh.b.wasm", b""), (FOLDER, "e.wasm", b"")];
    let mut search = Search::new("x.wasm");
    for layer in [above, below] {
        search
            .layer(&*archive(layer), Packing::None, &mut Vec::new())
            .unwrap();
    }
    assert_eq!(search.there().collect::<Vec<_>>(), ["a.wasm"]);
}
