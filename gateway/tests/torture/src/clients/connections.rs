//! Those that use up connections, or end them as nobody should.

use super::{client, get, post};
use crate::{case::Case, script::Script};

#[rustfmt::skip]
pub(super) fn all() -> Vec<Case> {
    let new = Script::new;
    let upload = "/reads-the-whole-body";
    vec![
        client("connects", "connects and goes, as fast as it can", 16, new().patience(0)),
        client("connects-resets", "connects and resets", 16, new().resets().patience(0)),
        client("thousands", "holds 2,000 connections", 2000, new().patience(3000)).gets(&["408", "closed", "silent"]),
        client("half-head", "closes its side in the middle of a head", 50, new().send("GET / HT").half_close())
            .gets(&["400", "closed"]),
        client("half-open", "closes its side after its request", 50,
            new().send(get("/hangs")).half_close().patience(3000)).gets(&["closed", "504"]),
        client("half-body", "closes its side in the middle of a body", 50,
            new().send(post(upload, "content-length: 100")).send("abc").half_close()).gets(&["closed", "400", "200"]),
        client("resets-request", "resets after its request", 16, new().send(get("/counter")).resets().patience(0)),
        client("resets-hang", "resets while its guest waits", 16, new().send(get("/hangs")).wait(20).resets().patience(0)),
        client("resets-body", "resets in the middle of its body", 16,
            new().send(post(upload, "content-length: 1000")).send("abc").wait(5).resets().patience(0)),
        client("resets-answer", "resets in the middle of its answer", 16,
            new().send(get("/sends-bytes?n=10000000")).answer().resets().patience(0)),
        client("goes-hang", "goes while its guest spins", 8, new().send(get("/spins")).wait(20).patience(0)),
        client("goes-upload", "goes in the middle of an echo", 16,
            new().send(post("/echo", "content-length: 1000000")).repeat(10, "x".repeat(1000)).patience(0)),
    ]
}
