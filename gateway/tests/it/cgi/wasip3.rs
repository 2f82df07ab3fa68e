//! Programs of WASI 0.3 (`wasi:cli/run@0.3`).

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tempfile::TempDir;

use crate::harness::{Builder, TestGateway, channel, empty, guest, is_broken, run, until, within};

/// A gateway with one worker, the program at `/new/...`, and a neighbour.
fn program(limits: &str, lines: &str) -> Builder {
    TestGateway::builder()
        .server("workers = 1")
        .limits(limits)
        .package(
            "new",
            &guest("p3_program"),
            &format!("kind = \"cgi\"\n{lines}"),
        )
        .route("/new/{*rest}", "new")
        .guest("hello")
}

async fn assert_unharmed(gateway: &TestGateway) {
    assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
    gateway.wait_for_in_flight("new", 0).await;
}

#[tokio::test]
async fn it_is_told_of_its_request_and_what_it_prints_is_the_response() {
    let gateway = program("", "env = { COLOUR = \"red\" }").start();
    let request = gateway.request("GET", "/new/environment?a=b");
    let request = request.header("x-test", "value").body(empty()).unwrap();
    let text = gateway.send(request).await.text();
    for (name, value) in [
        ("COLOUR", "red"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("HTTP_X_TEST", "value"),
        ("PATH_INFO", "/environment"),
        ("QUERY_STRING", "a=b"),
        ("SCRIPT_NAME", "/new"),
    ] {
        assert!(text.contains(&format!("({name:?}, {value:?})")), "{text}");
    }
    for (path, answer) in [
        ("std", "by Rust's own library"),
        ("later", "later"),
        ("exits?0", "whole"),
        ("says?hello", "said"),
    ] {
        assert_eq!(gateway.get(&format!("/new/{path}")).await.text(), answer);
    }
    gateway
        .wait_for_event(&[("package", "new"), ("message", "the program says hello")])
        .await;
    let told = gateway.admin_get("/packages").await.text();
    assert!(told.contains("wasi:cli/command@0.3"), "{told}");
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn input_and_output_stream() {
    let gateway = program("", "").start();
    let (sender, body) = channel();
    let request = gateway.request("POST", "/new/echo").body(body).unwrap();
    let mut body = gateway.start_request(request).await.unwrap().into_body();
    for word in ["one", "two", "three"] {
        sender.send(Frame::data(Bytes::from(word))).await.unwrap();
        let frame = within("the word", body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), word);
    }
    drop(sender);
    assert!(within("the end", body.frame()).await.is_none());
    let large = vec![b'x'; 3 << 20];
    let reply = gateway.post("/new/echo", large.clone()).await;
    assert!(reply.body == large, "{} bytes", reply.body.len());
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn it_calls_what_its_package_may_call() {
    let other = TestGateway::builder().guest("hello").start();
    let origin = format!("http://{}", other.address);
    let gateway = program("", &format!("outbound = [{origin:?}]")).start();
    let reply = gateway.get(&format!("/new/fetch?{origin}/hello")).await;
    assert_eq!(reply.text(), "Hello from a package\n");
    let reply = gateway.get("/new/fetch?http://192.0.2.1/").await;
    assert_eq!(reply.status, 502);
    assert!(
        reply.text().contains("HttpRequestDenied"),
        "{}",
        reply.text()
    );
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn what_is_no_response_or_has_no_good_end_is_told() {
    let gateway = program("timeout = \"4s\"\nmemory = \"16MiB\"", "").start();
    for (path, status, reason, words) in [
        ("nothing", 502, "guest-bad-response", "it printed nothing"),
        (
            "no-response",
            502,
            "guest-bad-response",
            "which is no header line",
        ),
        ("traps", 502, "guest-trap", "unreachable"),
        ("spins", 504, "deadline", ""),
        ("streams", 502, "memory-limit", ""),
    ] {
        let reply = gateway.get(&format!("/new/{path}")).await;
        reply.assert_error(status, reason);
        until(&format!("{words} in the log"), || async {
            gateway.log().contains(words)
        })
        .await;
        assert_unharmed(&gateway).await;
    }
    for path in ["fails", "exits?3", "sleeps", "too-much"] {
        let request = gateway.request("GET", &format!("/new/{path}"));
        let response = gateway.start_request(request.body(empty()).unwrap()).await;
        let is_whole = match response {
            Ok(response) => response.status() == 200 && !is_broken(Ok(response)).await,
            Err(_) => false,
        };
        assert!(!is_whole, "{path} ended cleanly");
        assert_unharmed(&gateway).await;
    }
}

#[test]
fn check_says_that_a_program_needs_its_kind() {
    let folder = TempDir::new().unwrap();
    let toml = TestGateway::builder()
        .package("suspect", &guest("p3_program"), "")
        .route("/suspect", "suspect")
        .toml();
    std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
    let output = run(folder.path(), &["check"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{told}");
    for words in ["wasi:cli/run@0.3", "kind = \"cgi\""] {
        assert!(told.contains(words), "nothing of {words} in {told}");
    }
}
