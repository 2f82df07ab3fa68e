//! Those that misuse HTTP/1.1. What has two meanings is in [`smuggling`](crate::smuggling).

use super::{client, get, post};
use crate::{case::Case, script::Script};

#[rustfmt::skip]
pub(super) fn all() -> Vec<Case> {
    let new = Script::new;
    let upload = "/reads-the-whole-body";
    let chunks = post(upload, "transfer-encoding: chunked");
    let refused = &["400", "closed"];
    // The guest is told that its body broke off, and answers that.
    let cut = &["400", "200", "closed"];
    vec![
        client("pipeline", "sends 1,000 requests at once", 8, new().repeat(1000, get("/counter")).patience(3000))
            .gets(&["200"]),
        client("pipeline-goes", "sends 1,000 requests and goes", 8, new().repeat(1000, get("/counter")).patience(0)),
        client("pipeline-hangs", "sends 100 requests to a guest that hangs", 8,
            new().repeat(100, get("/hangs")).patience(3000)).gets(&["504"]),
        client("long-target", "asks for a path of 60 KB", 20, new().send(get(&format!("/{}", "a".repeat(60_000)))))
            .gets(&["404", "414", "431"]),
        client("longer-target", "asks for a path of a megabyte", 20, new().send(get(&"/a".repeat(500_000))))
            .gets(&["414", "431", "400", "closed"]),
        client("endless-line", "sends a first line without end", 8, new().repeat(4000, "a".repeat(4096)))
            .gets(&["400", "414", "431", "closed"]),
        client("long-header", "sends a header of a megabyte", 8,
            new().send(get("/").replace("\r\n\r\n", &format!("\r\nx: {}\r\n\r\n", "a".repeat(1 << 20)))))
            .gets(&["431", "closed"]),
        client("many-headers", "sends 10,000 headers", 8,
            new().send(get("/").replace("\r\n\r\n", &format!("\r\n{}\r\n", "x: y\r\n".repeat(10_000)))))
            .gets(&["431", "closed"]),
        client("endless-headers", "sends headers without end", 8,
            new().send("GET / HTTP/1.1\r\n").repeat(100_000, "x: y\r\n")).gets(&["431", "closed"]),
        client("dots", "climbs 10,000 folders", 8, new().send(get(&"/..".repeat(10_000)))).gets(&["404"]),
        client("percents", "asks for a path of percents", 8, new().send(get(&format!("/{}", "%2e%2f".repeat(5000)))))
            .gets(&["404"]),
        client("slashes", "asks for a path of slashes", 8, new().send(get(&"/".repeat(50_000)))).gets(&["404"]),
        client("chunk-size", "sends a chunk of 2^64 bytes", 20, new().send(&chunks).send("FFFFFFFFFFFFFFFFF\r\nx"))
            .gets(cut),
        client("chunk-extension", "sends a chunk extension without end", 8,
            new().send(&chunks).send("1;").repeat(4000, "a".repeat(4096))).gets(cut),
        client("chunk-crumbs", "sends a hundred thousand chunks of a byte", 8,
            new().send(&chunks).repeat(100, "1\r\nx\r\n".repeat(1000)).send("0\r\n\r\n").patience(3000)).gets(&["200", "504"]),
        client("chunk-zeros", "sends a chunk size with leading zeros", 8,
            new().send(&chunks).repeat(1000, "0".repeat(1000))).gets(cut),
        client("trailers", "sends trailers without end", 8,
            new().send(&chunks).send("0\r\n").repeat(10_000, "x-trailer: y\r\n")).gets(&["400", "431", "closed", "200"]),
        client("too-long-body", "sends a body beyond the limit", 8,
            new().send(post(upload, "content-length: 1000000000")).repeat(100, "x".repeat(10_000))).gets(&["413"]),
        client("too-long-chunks", "sends chunks beyond the limit", 8,
            new().send(&chunks).repeat(300, format!("2710\r\n{}\r\n", "x".repeat(10_000)))).gets(&["413", "200"]),
        client("unread-body", "sends a body to a guest that reads none", 8,
            new().send(post("/counter", "content-length: 1000000")).repeat(100, "x".repeat(10_000))).gets(&["200"]),
        client("garbage", "sends bytes of all kinds", 20, new().repeat(16, (0..=255).collect::<Vec<u8>>())).gets(refused),
        client("tls", "greets as TLS", 20, new().send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")).gets(&["400", "408", "closed", "silent"]),
        client("http0.9", "asks as HTTP/0.9", 20, new().send("GET /\r\n\r\n")).gets(refused),
        client("connect", "asks for a tunnel", 20, new().send("CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n"))
            .gets(&["400", "404", "405", "501"]),
        client("upgrade", "asks for a web socket", 20,
            new().send(post("/counter", "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 0"))).gets(&["200"]),
        client("internal-path", "asks for the building blocks' paths", 20,
            new().send(get("/%64apr/subscribe")).send(get("/calls-dapr/../dapr/config"))).gets(&["404"]),
        client("header-of-zeros", "sends zeros in a header", 20,
            new().send("GET / HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n")).gets(refused),
    ]
}
