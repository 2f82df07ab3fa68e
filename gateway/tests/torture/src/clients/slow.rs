//! Those that take their time.

use super::{client, get, post};
use crate::{case::Case, http2, script::Script};

#[rustfmt::skip]
pub(super) fn all() -> Vec<Case> {
    let new = Script::new;
    let upload = "/reads-the-whole-body";
    let big = get("/sends-bytes?n=1000000000");
    let many = b"x".repeat(200);
    vec![
        client("silent", "connects and says nothing", 100, new().patience(5000)).gets(&["408", "closed"]),
        client("slow-line", "sends its first line by the byte", 50,
            new().drip(get("/counter"), 100).patience(3000)).gets(&["408", "closed"]),
        client("slow-headers", "sends header after header and no end", 50,
            new().send("GET / HTTP/1.1\r\nhost: x\r\n").drip("x-a: b\r\n".repeat(20), 50).patience(3000))
            .gets(&["408", "closed"]),
        client("slow-second", "is fast once, and slow then", 50,
            new().send(get("/counter")).answer().drip(get("/counter"), 200).patience(3000)),
        client("slow-body", "sends its body by the byte", 50,
            new().send(post(upload, "content-length: 200")).drip(&many, 100).patience(3000)).gets(&["504", "408", "200"]),
        client("slow-chunks", "sends chunks of a byte", 50,
            new().send(post(upload, "transfer-encoding: chunked")).drip("1\r\nx\r\n".repeat(40), 20).patience(3000))
            .gets(&["504", "408", "200"]),
        client("no-body", "announces a body and sends none", 100,
            new().send(post(upload, "content-length: 200")).patience(4000)).gets(&["504", "408", "200"]),
        client("no-continue", "waits for leave and sends no body", 50,
            new().send(post(upload, "content-length: 200\r\nexpect: 100-continue")).patience(4000))
            .gets(&["504", "408", "100", "200"]),
        client("deaf", "asks for a gigabyte and never reads", 50, new().send(&big).deaf().patience(3000)),
        client("deaf-short", "asks for 64 KiB and never reads", 200,
            new().send(get("/sends-bytes?n=65536")).deaf().patience(3000)),
        client("deaf-pipeline", "asks 100 times for 64 KiB and never reads", 50,
            new().repeat(100, get("/sends-bytes?n=65536")).deaf().patience(3000)),
        client("deaf-trickle", "reads nothing and sends on and on", 20,
            new().repeat(20_000, get("/counter")).deaf().patience(3000)),
        client("slow-preface", "sends HTTP/2's preface by the byte", 50,
            new().drip(http2::preface(), 100).patience(3000)),
        client("idle-http2", "sends HTTP/2's preface and nothing else", 50,
            new().send(http2::preface()).patience(3000)),
        client("slow-frame", "sends a HEADERS frame by the byte", 50,
            new().send(http2::preface()).drip(http2::get(1, "/counter"), 200).patience(3000)),
        client("slow-http2-body", "sends a body of HTTP/2 by the byte", 50,
            new().send(http2::preface()).send(http2::post(1, upload))
                .drip(http2::frame(http2::kind::DATA, 0, 1, &many), 50).patience(3000)),
    ]
}
