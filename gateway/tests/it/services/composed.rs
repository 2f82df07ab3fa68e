//! A middleware that was composed with the service behind it beforehand: one component, in one instance.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tempfile::TempDir;

use super::assert_unharmed;
use crate::harness::{TestGateway, channel, compose, empty, guest, is_broken, middleware, run, within};

/// What `wac plug` makes of the two.
fn composed(behind: &Path, folder: &Path) -> PathBuf {
    let composed = folder.join("composed.wasm");
    compose(&middleware(), behind, &composed);
    composed
}

fn gateway(folder: &TempDir, limits: &str) -> TestGateway {
    TestGateway::builder()
        .server("workers = 1")
        .limits(limits)
        .package(
            "new",
            &composed(&guest("p3_torments"), folder.path()),
            "env = { GREETING = \"hello\" }",
        )
        .route_with("/new/{*rest}", "new", "strip_prefix = \"/new\"")
        .guest("hello")
        .start()
}

#[tokio::test]
async fn it_answers_as_the_two_would_in_one_fresh_instance_for_each_request() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(&folder, "");
    assert_eq!(gateway.get("/new/refused").await.status, 403);
    for _ in 0..3 {
        let reply = gateway.get("/new/count").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.text(), "1");
        assert_eq!(reply.header("x-passed"), Some("back"));
    }
    let world = gateway.get("/new/world").await.text();
    assert!(world.contains("[(\"GREETING\", \"hello\")]"), "{world}");
    let body = vec![b'x'; 3 << 20];
    let reply = gateway.post("/new/echo", body.clone()).await;
    assert!(reply.body == body, "{} bytes", reply.body.len());
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn bodies_pass_both_parts_as_they_come() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(&folder, "");
    for way in ["/new/echo", "/new/pass"] {
        let (sender, body) = channel();
        let request = gateway.request("POST", way).body(body).unwrap();
        let mut body = gateway.start_request(request).await.unwrap().into_body();
        for word in ["one", "two", "three"] {
            sender.send(Frame::data(Bytes::from(word))).await.unwrap();
            let frame = within("the word", body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), word, "{way}");
        }
        drop(sender);
        assert!(within("the end", body.frame()).await.is_none(), "{way}");
        assert_unharmed(&gateway).await;
    }
}

#[tokio::test]
async fn what_goes_wrong_in_one_part_ends_both() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(&folder, "timeout = \"4s\"\nmemory = \"16MiB\"");
    for (path, status, reason) in [
        ("trap", 502, "guest-trap"),
        ("allocate", 502, "memory-limit"),
        ("spin", 504, "deadline"),
        ("never", 504, "deadline"),
    ] {
        let reply = gateway.get(&format!("/new/{path}")).await;
        reply.assert_error(status, reason);
        assert_unharmed(&gateway).await;
    }
    let request = gateway.request("GET", "/new/writes-without-end");
    let response = gateway.start_request(request.body(empty()).unwrap()).await;
    assert!(is_broken(response).await, "it ended cleanly");
    assert_unharmed(&gateway).await;
}

#[test]
fn check_takes_it_for_a_service_that_needs_no_next() {
    let folder = TempDir::new().unwrap();
    let composed = composed(&guest("p3_hello"), folder.path());
    for (lines, words) in [
        ("", "suspect is made for wasi:http/service@0.3"),
        ("next = \"hello\"", "imports no `wasi:http/handler@0.3.x`"),
    ] {
        let toml = TestGateway::builder()
            .package("suspect", &composed, lines)
            .guest("hello")
            .route("/suspect", "suspect")
            .toml();
        std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
        let output = run(folder.path(), &["check"]);
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains(words), "nothing of {words} in:\n{told}");
    }
}
