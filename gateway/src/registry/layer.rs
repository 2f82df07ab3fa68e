//! Finds one file in the layers of an image, from the top down (OCI image specification, "Image Layer Filesystem
//! Changeset").
//!
//! Nothing is unpacked: entries are read one after the other, and only the contents of the requested one are kept. So
//! no name in an archive is ever used as a path, and links are not followed.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType, PaxExtensions};

use self::zstd::Zstd;
use super::manifest::{MAX_COMPONENT, Packing};

/// The maximum uncompressed size of all layers of an image: decompression bombs cost no more time than this.
const MAX_UNPACKED: u64 = 2 << 30;

/// The maximum number of entries in all layers of an image: several times those of a whole distribution.
const MAX_ENTRIES: u64 = 1_000_000;

/// The maximum size of a name or other data before an entry: Linux has no longer paths, and attributes of 64 KiB.
const MAX_EXTENSION: u64 = 1 << 20;

/// How many components in an image's root are listed when the file does not exist.
const MAX_TOLD: usize = 32;

/// The prefix of a whiteout, which deletes a file of the layers below.
const WHITEOUT: &[u8] = b".wh.";

/// The opaque whiteout, which deletes all files of a folder in the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The search for one file.
pub(super) struct Search {
    /// The components of its path.
    parts: Vec<Vec<u8>>,
    unpacked: u64,
    entries: u64,
    /// The Wasm files in the root, and the names in the root that are deleted in the layers below.
    there: BTreeSet<String>,
    gone: BTreeSet<Vec<u8>>,
}

/// The result for one layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The file is in it; its size, which was written.
    Here(u64),
    /// It is deleted, whatever is below.
    Gone,
    /// Not in this layer.
    Nothing,
}

/// A failed search of a layer.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is invalid.
    Odd(String),
    /// A limit was exceeded: which, the actual value, and the maximum.
    TooLarge(&'static str, u64, u64),
    /// The file cannot be written.
    Unwritten(io::Error),
}

/// The destination of the file's contents; restarted if a layer contains it twice.
pub(super) trait Sink: Write {
    /// Discards what was written.
    fn restart(&mut self) -> io::Result<()>;
}

impl Search {
    /// A search for the file at a path, which has neither empty parts nor `..`.
    pub(super) fn new(path: &str) -> Self {
        Self {
            parts: path
                .split('/')
                .map(|part| part.as_bytes().to_vec())
                .collect(),
            unpacked: 0,
            entries: 0,
            there: BTreeSet::new(),
            gone: BTreeSet::new(),
        }
    }

    /// The Wasm files that were seen in the root.
    pub(super) fn there(&self) -> impl Iterator<Item = &str> {
        self.there.iter().map(String::as_str)
    }

    /// Reads the next layer down.
    ///
    /// # Errors
    /// When it is invalid, exceeds a limit, or has something other than a file at the path.
    pub(super) fn layer(&mut self, packed: impl Read, packing: Packing, sink: &mut impl Sink) -> Result<Said, Unread> {
        let mut left = Bounded {
            inner: match packing {
                Packing::None => Box::new(packed) as Box<dyn Read + '_>,
                Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
                Packing::Zstd => Box::new(Zstd::new(packed)),
            },
            left: MAX_UNPACKED.saturating_sub(self.unpacked),
            is_over: false,
        };
        let said = self.entries(&mut left, sink);
        self.unpacked = MAX_UNPACKED - left.left;
        if left.is_over {
            return Err(Unread::TooLarge(
                "the layers, unpacked",
                MAX_UNPACKED + 1,
                MAX_UNPACKED,
            ));
        }
        said
    }

    fn entries(&mut self, unpacked: &mut dyn Read, sink: &mut impl Sink) -> Result<Said, Unread> {
        let mut archive = Archive::new(unpacked);
        let mut said = Ok(Said::Nothing);
        let mut hides = false;
        let mut gone = Vec::new();
        let mut named = None;
        for entry in archive.entries().map_err(broken)?.raw(true) {
            let mut entry = entry.map_err(broken)?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(Unread::TooLarge(
                    "the list of files",
                    self.entries,
                    MAX_ENTRIES,
                ));
            }
            let kind = entry.header().entry_type();
            match kind {
                EntryType::GNULongName | EntryType::XHeader => {
                    let size = entry.header().entry_size().map_err(broken)?;
                    if size > MAX_EXTENSION {
                        return Err(Unread::TooLarge("a name", size, MAX_EXTENSION));
                    }
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).map_err(broken)?;
                    match kind {
                        EntryType::GNULongName => named = Some(bytes),
                        _ => named = path_of(&bytes)?.or(named),
                    }
                    continue;
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => continue,
                _ => {}
            }
            let name = match named.take() {
                Some(name) => name,
                None => entry.header().path_bytes().into_owned(),
            };
            let Some(parts) = parts(&name) else { continue };
            if let Some(hidden) = hidden(&parts) {
                hides |= self.parts.starts_with(&hidden) && (hidden.len() < self.parts.len() || !is_opaque(&parts));
                gone.extend(hidden.into_iter().next().filter(|_| parts.len() == 1));
            } else if parts == self.parts {
                said = match kind {
                    EntryType::Regular | EntryType::Continuous => {
                        let size = entry.header().entry_size().map_err(broken)?;
                        copy(&mut entry, size, sink).map(|()| Said::Here(size))
                    }
                    kind => Err(Unread::Odd(odd(kind, entry.header()))),
                };
                if let Err(Unread::TooLarge(..) | Unread::Unwritten(_)) = said {
                    return said;
                }
            } else if self.parts.starts_with(&parts) {
                // A parent is not a folder any more.
                hides |= !kind.is_dir();
            } else if let [name] = parts.as_slice() {
                self.note(name, kind);
            }
        }
        self.gone.extend(gone);
        match said {
            Ok(Said::Nothing) if hides => Ok(Said::Gone),
            said => said,
        }
    }

    fn note(&mut self, name: &[u8], kind: EntryType) {
        let Ok(text) = std::str::from_utf8(name) else {
            return;
        };
        if kind.is_file() && text.ends_with(".wasm") && !self.gone.contains(name) && self.there.len() < MAX_TOLD {
            self.there.insert(text.to_owned());
        }
    }
}

/// A stream with a limit.
struct Bounded<'a> {
    inner: Box<dyn Read + 'a>,
    left: u64,
    is_over: bool,
}

impl Read for Bounded<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !into.is_empty() {
            self.is_over = true;
            return Err(io::Error::other("there is too much"));
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(into.len());
        let read = self.inner.read(into.get_mut(..most).unwrap_or_default())?;
        self.left -= read as u64;
        Ok(read)
    }
}

fn broken(error: io::Error) -> Unread {
    Unread::Odd(format!("a layer is no archive of tar: {error}"))
}

/// The path in the attributes before an entry (POSIX pax), if they have one.
fn path_of(attributes: &[u8]) -> Result<Option<Vec<u8>>, Unread> {
    let mut path = None;
    for attribute in PaxExtensions::new(attributes) {
        let attribute = attribute.map_err(broken)?;
        match attribute.key_bytes() {
            b"path" => path = Some(attribute.value_bytes().to_vec()),
            // Readers disagree on which length counts, and so on the boundaries of entries.
            b"size" => {
                return Err(Unread::Odd(
                    "a layer has an entry with two lengths".to_owned(),
                ));
            }
            _ => {}
        }
    }
    Ok(path)
}

/// The components of a name in an archive; `None` for one with `..`, or the root.
fn parts(name: &[u8]) -> Option<Vec<Vec<u8>>> {
    let end = name.iter().position(|byte| *byte == 0);
    let name = name.get(..end.unwrap_or(name.len())).unwrap_or_default();
    let parts = name.split(|byte| *byte == b'/');
    let parts: Vec<_> = parts
        .filter(|part| !matches!(*part, b"" | b"."))
        .map(<[u8]>::to_vec)
        .collect();
    let is_inside = !parts.is_empty() && !parts.iter().any(|part| part == b"..");
    is_inside.then_some(parts)
}

/// What a whiteout deletes: one name, or the contents of a folder.
fn hidden(parts: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let (last, folder) = parts.split_last()?;
    let mut hidden = folder.to_vec();
    if !is_opaque(parts) {
        hidden.push(last.strip_prefix(WHITEOUT)?.to_vec());
    }
    Some(hidden)
}

fn is_opaque(parts: &[Vec<u8>]) -> bool {
    parts.last().is_some_and(|last| last == OPAQUE)
}

/// Copies the contents of the file.
fn copy(entry: &mut impl Read, size: u64, sink: &mut impl Sink) -> Result<(), Unread> {
    if size > MAX_COMPONENT {
        return Err(Unread::TooLarge("the file", size, MAX_COMPONENT));
    }
    sink.restart().map_err(Unread::Unwritten)?;
    let mut part = vec![0; 64 << 10];
    let mut copied = 0_u64;
    loop {
        let length = entry.read(&mut part).map_err(broken)?;
        let Some(read) = part.get(..length).filter(|read| !read.is_empty()) else {
            break;
        };
        sink.write_all(read).map_err(Unread::Unwritten)?;
        copied += length as u64;
    }
    match copied == size {
        true => Ok(()),
        false => Err(Unread::Odd("a layer ends within the file".to_owned())),
    }
}

/// The name of an entry type that is not a file.
fn odd(kind: EntryType, header: &tar::Header) -> String {
    let to = header.link_name_bytes().unwrap_or_default();
    let to = Path::new(&*String::from_utf8_lossy(&to))
        .display()
        .to_string();
    let to: String = to.chars().filter(|c| !c.is_control()).collect();
    match kind {
        EntryType::Symlink | EntryType::Link => format!("the file is a link to {to:?}; name what it leads to"),
        EntryType::Directory => "it is a folder; name a file in it".to_owned(),
        _ => "it is neither a file nor a folder".to_owned(),
    }
}

mod zstd;

#[cfg(test)]
mod tests;
