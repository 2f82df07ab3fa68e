//! Those that misuse HTTP/2 (RFC 9113).

use super::client;
use crate::{
    case::Case,
    http2::{
        END_HEADERS, END_STREAM, block, field, frame, get, kind, post, preface, preface_with, reset, settings, streams,
        window,
    },
    script::Script,
};

#[rustfmt::skip]
pub(super) fn all() -> Vec<Case> {
    let begun = || Script::new().send(preface());
    let each = |count, act: &dyn Fn(u32) -> Vec<u8>| streams(count).flat_map(act).collect::<Vec<u8>>();
    let head = block("GET", "/counter");
    let cookie = [block("GET", "/counter"), field("x-a", &"b".repeat(120)).repeat(8000)].concat();
    let upload = "/reads-the-whole-body";
    let calm = &["GOAWAY ENHANCE_YOUR_CALM", "GOAWAY PROTOCOL_ERROR", "closed"];
    // A field for the dynamic table, then 16,000 times that field in two bytes (RFC 7541).
    let bomb = [block("GET", "/counter"), vec![0x40, 3, b'x', b'-', b'a', 126], vec![b'b'; 126], vec![0xbe; 16_000]].concat();
    vec![
        client("h2-rapid-reset", "opens and resets 10,000 streams", 8,
            begun().send(each(10_000, &|s| [get(s, "/counter"), reset(s)].concat()))).gets(calm),
        client("h2-rapid-reset-hangs", "opens and resets streams to a guest that hangs", 8,
            begun().send(each(5000, &|s| [get(s, "/hangs"), reset(s)].concat()))).gets(calm),
        client("h2-made-reset", "makes the gateway reset 5,000 streams", 8,
            begun().send(each(5000, &|s| [post(s, "/counter"), window(s, 0)].concat()))).gets(calm),
        client("h2-continuation", "sends CONTINUATION without end", 8,
            begun().send(frame(kind::HEADERS, 0, 1, &head))
                .repeat(50_000, frame(kind::CONTINUATION, 0, 1, &field("x-a", &"b".repeat(120))))).gets(calm),
        client("h2-empty-continuation", "sends empty CONTINUATION frames", 8,
            begun().send(frame(kind::HEADERS, 0, 1, &head)).repeat(50_000, frame(kind::CONTINUATION, 0, 1, &[])))
            .gets(calm),
        client("h2-settings", "sends SETTINGS without end", 8, begun().repeat(100, settings(&[(4, 65_535)]).repeat(1000))),
        client("h2-ping", "sends PING without end", 8,
            begun().repeat(100, frame(kind::PING, 0, 0, &[0; 8]).repeat(1000))),
        client("h2-ping-deaf", "sends PING without end and never reads", 8,
            begun().repeat(100, frame(kind::PING, 0, 0, &[0; 8]).repeat(1000)).deaf()),
        client("h2-priority", "sends PRIORITY without end", 8,
            begun().repeat(100, frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 1]).repeat(1000))),
        client("h2-unknown", "sends frames of no known type", 8, begun().repeat(100, frame(77, 0, 0, b"x").repeat(1000))),
        client("h2-empty-data", "sends empty DATA without end", 8,
            begun().send(post(1, upload)).repeat(100, frame(kind::DATA, 0, 1, &[]).repeat(1000))),
        client("h2-crumbs", "sends a body by frames of a byte", 8,
            begun().send(post(1, upload)).repeat(60, frame(kind::DATA, 0, 1, b"x").repeat(1000)).send(frame(kind::DATA, END_STREAM, 1, &[]))),
        client("h2-padding", "sends DATA of padding alone", 8,
            begun().send(post(1, upload)).repeat(200, frame(kind::DATA, 8, 1, &[[255].as_slice(), &[0; 255]].concat()))),
        client("h2-zero-window", "asks 100 times with no window", 20,
            Script::new().send(preface_with(&[(4, 0)])).send(each(100, &|s| get(s, "/sends-bytes?n=100000000")))
                .patience(3000)),
        client("h2-no-connection-window", "asks 100 times and never enlarges its window", 20,
            begun().send(each(100, &|s| get(s, "/sends-bytes?n=100000000"))).deaf().patience(3000)),
        client("h2-byte-window", "enlarges its window by a byte", 8,
            Script::new().send(preface_with(&[(4, 1)])).send(each(100, &|s| get(s, "/sends-bytes?n=1000000")))
                .repeat(200, each(100, &|s| window(s, 1)))),
        client("h2-window-overflow", "enlarges its window beyond 2^31", 20,
            begun().send(window(0, 0x7fff_ffff)).send(window(0, 0x7fff_ffff))).gets(&["GOAWAY FLOW_CONTROL_ERROR"]),
        client("h2-window-zero", "enlarges its window by nothing", 20, begun().send(window(0, 0)))
            .gets(&["GOAWAY PROTOCOL_ERROR"]),
        client("h2-settings-window", "changes the first window back and forth", 8,
            begun().send(each(100, &|s| get(s, "/hangs")))
                .repeat(2000, [settings(&[(4, 0)]), settings(&[(4, 0x7fff_ffff)])].concat())),
        client("h2-table-size", "changes the table's size back and forth", 8,
            begun().repeat(2000, [settings(&[(1, 0)]), settings(&[(1, 0xffff_ffff)])].concat())),
        client("h2-many-streams", "opens 10,000 streams that hang", 8,
            begun().send(each(10_000, &|s| get(s, "/hangs"))).patience(3000)),
        client("h2-bomb", "sends a field of the table 16,000 times", 8,
            begun().send(frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, bomb.get(..16_384).unwrap_or_default())))
            .gets(&["GOAWAY", "RST_STREAM", "answered", "closed"]),
        client("h2-headers", "sends a megabyte of fields", 8,
            begun().send(frame(kind::HEADERS, END_STREAM, 1, cookie.get(..16_384).unwrap_or_default()))
                .send(cookie.chunks(16_384).skip(1).flat_map(|part| frame(kind::CONTINUATION, 0, 1, part)).collect::<Vec<u8>>())
                .send(frame(kind::CONTINUATION, END_HEADERS, 1, &[]))).gets(&["GOAWAY", "RST_STREAM", "answered", "closed"]),
        client("h2-big-frame", "sends a frame of 16 MB", 8, begun().send([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]))
            .gets(&["GOAWAY FRAME_SIZE_ERROR", "closed"]),
        client("h2-even-stream", "opens a stream of the server's", 20, begun().send(get(2, "/counter")))
            .gets(&["GOAWAY PROTOCOL_ERROR"]),
        client("h2-backwards", "opens streams backwards", 20, begun().send(get(5, "/counter")).send(get(3, "/counter")))
            .gets(&["GOAWAY"]),
        client("h2-idle-stream", "resets a stream that is not there", 20, begun().send(reset(9)))
            .gets(&["GOAWAY PROTOCOL_ERROR"]),
        client("h2-closed-stream", "sends a body after its end", 20,
            begun().send(get(1, "/hangs")).send(frame(kind::DATA, 0, 1, b"more"))).gets(&["GOAWAY STREAM_CLOSED", "GOAWAY PROTOCOL_ERROR", "RST_STREAM"]),
        client("h2-push", "pushes a promise", 20, begun().send(frame(kind::PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])))
            .gets(&["GOAWAY PROTOCOL_ERROR"]),
        client("h2-goaway", "says goodbye and goes on", 20,
            begun().send(frame(kind::GOAWAY, 0, 0, &[0; 8])).send(each(100, &|s| get(s, "/counter")))),
        client("h2-bad-block", "sends a header block of nonsense", 20,
            begun().send(frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 40]))).gets(&["GOAWAY COMPRESSION_ERROR", "GOAWAY PROTOCOL_ERROR"]),
        client("h2-no-path", "asks without a path", 20, begun().send(frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &[0x82, 0x86])))
            .gets(&["RST_STREAM PROTOCOL_ERROR", "GOAWAY PROTOCOL_ERROR", "answered"]),
        client("h2-upper-case", "sends a field in upper case", 20,
            begun().send(frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &[head.clone(), field("X-A", "b")].concat())))
            .gets(&["RST_STREAM PROTOCOL_ERROR", "GOAWAY PROTOCOL_ERROR", "answered"]),
        client("h2-wrong-length", "announces another length than it sends", 20,
            begun().send(frame(kind::HEADERS, END_HEADERS, 1, &[block("POST", upload), field("content-length", "9")].concat()))
                .send(frame(kind::DATA, END_STREAM, 1, b"abc"))).gets(&["RST_STREAM PROTOCOL_ERROR", "answered"]),
        client("h2-bad-preface", "sends half a preface and nonsense", 20, Script::new().send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"))
            .gets(&["GOAWAY PROTOCOL_ERROR", "400", "closed"]),
        client("h2-no-settings", "sends no settings after its preface", 20,
            Script::new().send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send(get(1, "/counter"))).gets(&["GOAWAY PROTOCOL_ERROR", "answered", "closed"]),
        client("h2-goes", "opens 100 streams that hang, and goes", 20,
            begun().send(each(100, &|s| get(s, "/hangs"))).wait(20).resets().patience(0)),
    ]
}
