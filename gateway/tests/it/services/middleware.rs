//! Middleware: a component of `wasi:http/middleware@0.3` before any other package, each in an instance of its own.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Frame;
use http_body_util::BodyExt as _;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    harness::{
        Builder, Reply, Signal, TestGateway, channel, empty, full, guest, is_broken, middleware, run, script, until,
        within,
    },
    reload::change,
};

/// A middleware `front` at `/front/...` before a package that does what its path says, and a neighbour.
fn before(behind: &str, limits: &str, lines: &str) -> Builder {
    TestGateway::builder()
        .server("workers = 1")
        .limits(limits)
        .package("front", &middleware(), "next = \"behind\"")
        .package("behind", &guest(behind), lines)
        .route("/front/{*rest}", "front")
        .guest("hello")
}

async fn assert_unharmed(gateway: &TestGateway) {
    assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
    for name in ["front", "behind"] {
        gateway.wait_for_in_flight(name, 0).await;
    }
}

#[tokio::test]
async fn a_middleware_answers_some_requests_itself_and_passes_the_others_on_changed() {
    let gateway = before("p3_torments", "", "").start();
    assert_eq!(gateway.get("/front/refused").await.status, 403);
    let request = gateway
        .request("PUT", "/front/request?a=b")
        .header("x-test", "value");
    let reply = gateway.send(request.body(full("x")).unwrap()).await;
    let text = reply.text();
    assert_eq!(reply.header("x-passed"), Some("back"), "{text}");
    let host = gateway.address.to_string();
    let first = format!("Method::Put Some(Scheme::Http) Some({host:?}) Some(\"/front/request?a=b\")");
    assert_eq!(text.lines().next(), Some(&*first), "{text}");
    for line in ["x-passed: on", "x-test: value", "x-request-id: "] {
        assert!(text.contains(line), "nothing of {line} in {text}");
    }
    let metrics = gateway.metrics().await;
    let ran = |package| {
        metrics.sum(
            "wasmgate_instantiation_seconds_count",
            &[("package", package)],
        )
    };
    assert_eq!(
        (ran("front"), ran("behind")),
        (2.0, 1.0),
        "{}",
        metrics.text()
    );
}

#[tokio::test]
async fn packages_of_every_kind_are_behind_one() {
    for (behind, lines) in [
        (guest("echo"), ""),
        (guest("p3_torments"), ""),
        (script("wasm32-wasip1"), "kind = \"cgi\""),
    ] {
        let gateway = TestGateway::builder()
            .package("front", &middleware(), "next = \"second\"")
            .package("second", &middleware(), "next = \"behind\"")
            .package("behind", &behind, lines)
            .route_with("/front/{*rest}", "front", "strip_prefix = \"/front\"")
            .start();
        let body = vec![b'x'; 3 << 20];
        let reply = gateway.post("/front/echo", body.clone()).await;
        assert_eq!(reply.status, 200, "{behind:?}: {}", reply.text());
        assert!(reply.body == body, "{behind:?}: {} bytes", reply.body.len());
        let marks = reply.headers.get_all("x-passed").iter().count();
        assert_eq!(marks, 2, "{behind:?}");
        let reply = gateway
            .send(
                gateway
                    .request("HEAD", "/front/echo")
                    .body(empty())
                    .unwrap(),
            )
            .await;
        assert_eq!(reply.status, 200, "{behind:?}");
    }
}

#[tokio::test]
async fn bodies_and_trailers_pass_as_they_come() {
    let gateway = before("p3_torments", "", "").start();
    for way in ["/front/echo", "/front/pass"] {
        let (sender, body) = channel();
        let request = gateway.request("POST", way).body(body).unwrap();
        let mut body = gateway.start_request(request).await.unwrap().into_body();
        for word in ["one", "two", "three"] {
            sender.send(Frame::data(Bytes::from(word))).await.unwrap();
            let frame = within("the word", body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), word);
        }
        drop(sender);
        assert!(within("the end", body.frame()).await.is_none(), "{way}");
        assert_unharmed(&gateway).await;
    }
    let mut connection = gateway.http2().await;
    let (sender, body) = channel();
    let mut tail = HeaderMap::new();
    tail.insert("x-tail", HeaderValue::from_static("wags"));
    let parts = [
        Frame::data(Bytes::from("abc")),
        Frame::trailers(tail.clone()),
    ];
    tokio::spawn(async move {
        for part in parts {
            sender.send(part).await.unwrap();
        }
    });
    let request = Request::post(format!("http://{}/front/echo", gateway.address));
    let response = connection.send_request(request.body(body).unwrap());
    let response = within("a response", response).await.unwrap();
    let collected = within("the body", response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(collected.trailers(), Some(&tail));
    assert_eq!(collected.to_bytes(), "abc");
}

#[tokio::test]
async fn a_failure_behind_is_an_answer_in_front_and_one_within_an_answer_cuts_it() {
    let gateway = before(
        "p3_torments",
        "timeout = \"30s\"",
        "limits = { memory = \"16MiB\", timeout = \"3s\" }",
    )
    .start();
    for (path, status) in [
        ("trap", 502),
        ("error", 502),
        ("allocate", 502),
        ("spin", 504),
        ("never", 504),
    ] {
        let reply = gateway.get(&format!("/front/{path}")).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        assert_eq!(reply.header("x-passed"), Some("back"), "{path}");
        assert!(!reply.text().contains("secret"));
        assert_unharmed(&gateway).await;
    }
    let request = gateway.request("GET", "/front/writes-without-end");
    let response = gateway.start_request(request.body(empty()).unwrap()).await;
    assert!(is_broken(response).await, "it ended cleanly");
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn what_is_on_its_way_through_both_is_finished_before_the_end() {
    let mut gateway = before("p3_torments", "", "").start();
    let (sender, body) = channel();
    let request = gateway.request("POST", "/front/echo").body(body).unwrap();
    let mut connection = gateway.http1().await;
    sender.send(Frame::data(Bytes::from("abc"))).await.unwrap();
    let response = within("a head", connection.send_request(request))
        .await
        .unwrap();
    gateway.signal(Signal::Terminate);
    until("a gateway that is not ready", || async {
        gateway.admin_get("/readyz").await.status == 503
    })
    .await;
    sender.send(Frame::data(Bytes::from("def"))).await.unwrap();
    drop(sender);
    assert_eq!(Reply::of(response).await.unwrap().text(), "abcdef");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn who_goes_away_ends_both() {
    let gateway = before("p3_torments", "", "").start();
    let (sender, body) = channel();
    let request = gateway.request("POST", "/front/echo").body(body).unwrap();
    sender.send(Frame::data(Bytes::from("abc"))).await.unwrap();
    let response = gateway.start_request(request).await.unwrap();
    gateway.wait_for_in_flight("behind", 1).await;
    drop(response);
    drop(sender);
    assert_unharmed(&gateway).await;
    let mut connection = gateway.raw().await;
    connection
        .send("GET /front/never HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    gateway.wait_for_in_flight("behind", 1).await;
    gateway.wait_for_in_flight("front", 1).await;
    drop(connection);
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn each_has_its_own_environment_and_its_own_places() {
    let lines = "env = { GREETING = \"hello\" }\nlimits = { concurrency = 1, queue = 0 }";
    let gateway = before("p3_torments", "timeout = \"6s\"", lines).start();
    let world = gateway.get("/front/world").await.text();
    assert!(world.contains("[(\"GREETING\", \"hello\")]"), "{world}");
    let first = gateway.get("/front/never");
    let second = async {
        gateway.wait_for_in_flight("behind", 1).await;
        let reply = gateway.get("/front/world").await;
        assert_eq!(reply.status, 503, "{}", reply.text());
    };
    let (reply, ()) = tokio::join!(first, second);
    assert_eq!(reply.status, 504);
    // What is called again and again is a fresh instance each time.
    let request = gateway
        .request("GET", "/front/count")
        .header("x-test-times", "20");
    let reply = gateway.send(request.body(empty()).unwrap()).await;
    assert_eq!(reply.text(), "1");
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn what_a_middleware_leaves_out_of_a_request_is_as_it_came() {
    let gateway = TestGateway::builder()
        .package("front", &middleware(), "next = \"behind\"")
        .package("behind", &guest("p3_torments"), "")
        .route_with("/front/{*rest}", "front", "strip_prefix = \"/front\"")
        .start();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = Request::get("/front/request")
        .header("host", "shop.example")
        .header("x-request-id", "the-first")
        .header("traceparent", trace)
        .header("x-test", "value")
        .header("x-test-bare", "yes");
    let reply = gateway.send(request.body(empty()).unwrap()).await;
    let text = reply.text();
    let first = "Method::Get Some(Scheme::Http) Some(\"shop.example\") Some(\"/request\")";
    assert_eq!(text.lines().next(), Some(first), "{text}");
    for line in [
        "x-request-id: the-first",
        &format!("traceparent: {trace}"),
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: shop.example",
        "x-forwarded-prefix: /front",
    ] {
        assert!(text.contains(line), "nothing of {line} in {text}");
    }
    assert!(!text.contains("x-test"), "{text}");
}

#[tokio::test]
async fn what_the_building_blocks_alone_may_call_is_closed_to_a_middleware_too() {
    let gateway = before("p3_torments", "", "").start();
    for path in [
        "/dapr/subscribe",
        "/x/../dapr/subscribe",
        "/%64apr/subscribe",
        "//dapr/subscribe?x",
    ] {
        let request = gateway
            .request("GET", "/front/world")
            .header("x-test-path", path)
            .header("dapr-app-id", "forged");
        let reply = gateway.send(request.body(empty()).unwrap()).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_reload_changes_either_end_for_the_next_request() {
    let with = |next: &str, other: &str| {
        TestGateway::builder()
            .package("front", &middleware(), &format!("next = \"{next}\""))
            .package("behind", &guest(other), "")
            .package("other", &guest("p3_torments"), "env = { NAME = \"other\" }")
            .route("/front/{*rest}", "front")
    };
    let gateway = with("behind", "hello").start();
    assert_eq!(
        gateway.get("/front/echo").await.text(),
        "Hello from a package\n"
    );
    change(&gateway, &with("other", "hello")).await;
    let (sender, body) = channel();
    sender.send(Frame::data(Bytes::from("abc"))).await.unwrap();
    let request = gateway.request("POST", "/front/echo").body(body).unwrap();
    let held = gateway.start_request(request).await.unwrap();
    gateway.wait_for_in_flight("other", 1).await;
    let told = change(&gateway, &with("behind", "p3_torments")).await;
    assert_eq!(told["changed"], json!(["behind", "front"]), "{told}");
    // What is under way stays on the packages that it began on.
    sender.send(Frame::data(Bytes::from("def"))).await.unwrap();
    drop(sender);
    assert_eq!(Reply::of(held).await.unwrap().text(), "abcdef");
    let reply = gateway.post("/front/echo", "another").await;
    assert_eq!(reply.text(), "another");
    assert!(!gateway.get("/front/world").await.text().contains("other"));
}

#[test]
fn check_says_which_next_there_may_be() {
    let folder = TempDir::new().unwrap();
    let check = |front: &str, hello: &str| {
        let toml = TestGateway::builder()
            .cache(&folder.path().join("compiled"))
            .package("front", &middleware(), front)
            .package("hello", &guest("hello"), hello)
            .route("/front", "front")
            .toml();
        std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
        let output = run(folder.path(), &["check"]);
        let told = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&told).into_owned(),
        )
    };
    let (is_right, told) = check("next = \"hello\"", "");
    assert!(is_right, "{told}");
    for (front, hello, words) in [
        ("", "", "is a middleware"),
        ("next = \"nobody\"", "", "there is no package \"nobody\""),
        ("next = \"front\"", "", "to itself: front -> front"),
        (
            "next = \"hello\"",
            "next = \"front\"",
            "to itself: front -> hello -> front",
        ),
        ("next = \"hello\"", "next = \"Hello\"", "wasmgate.toml"),
    ] {
        let (is_right, told) = check(front, hello);
        assert!(!is_right, "{told}");
        assert!(told.contains(words), "nothing about {words} in:\n{told}");
    }
    let toml = TestGateway::builder()
        .package("hello", &guest("hello"), "next = \"other\"")
        .package("other", &guest("p3_hello"), "")
        .route("/hello", "hello")
        .toml();
    std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
    let output = run(folder.path(), &["check"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{told}");
    assert!(
        told.contains("imports no `wasi:http/handler@0.3.x`"),
        "{told}"
    );
}
