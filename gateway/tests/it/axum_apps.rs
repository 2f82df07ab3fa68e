//! An application of axum, by wstd's runtime and without our SDK, is a package like any other.

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;

use crate::harness::{TestGateway, Upstream, channel, full, guest, within};

fn axum(lines: &str) -> TestGateway {
    TestGateway::builder()
        .package("axum", &guest("runs_axum"), lines)
        .route("/{*rest}", "axum")
        .start()
}

#[tokio::test]
async fn routers_extractors_and_layers_of_axum_work() {
    let gateway = axum("");
    let hello = gateway.get("/").await;
    assert_eq!(hello.text(), "Hello from axum!\n");
    assert_eq!(hello.header("x-signed-by"), Some("layer"));
    let loud = gateway.get("/users/J%C3%B6rg?loud=true").await;
    assert_eq!(loud.text(), "HELLO, JÖRG!\n");
    let missing = gateway.get("/nowhere").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.text(), "nothing here\n");
    let wrong = gateway.post("/", "").await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.header("allow")),
        (405, Some("GET,HEAD"))
    );
}

#[tokio::test]
async fn json_is_read_and_written_and_refused_by_axums_own_rules() {
    let gateway = axum("");
    for (body, status) in [
        (r#"{"name":"ada","age":36}"#, 201),
        (r#"{"name":"ada","age":-1}"#, 422),
        ("{", 400),
    ] {
        let request = gateway
            .request("POST", "/users")
            .header("content-type", "application/json");
        let reply = gateway.send(request.body(full(body)).unwrap()).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        if status == 201 {
            // A fresh instance for each request: nobody was created before.
            assert_eq!(reply.header("location"), Some("/users/ada-0"));
            assert_eq!(reply.text(), body);
        }
    }
}

#[tokio::test]
async fn bodies_of_axum_stream_both_ways() {
    let gateway = axum("");
    let ticks = gateway.get("/ticks").await;
    assert_eq!(ticks.text(), "tick 1\ntick 2\ntick 3\n");
    let (sender, body) = channel();
    let request = gateway.request("POST", "/echo").body(body).unwrap();
    sender.send(Frame::data(Bytes::from("one"))).await.unwrap();
    let mut echoed = gateway.start_request(request).await.unwrap().into_body();
    for word in ["one", "two", "three"] {
        let frame = within("the word", echoed.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), word);
        let next = match word {
            "one" => "two",
            "two" => "three",
            _ => break,
        };
        sender.send(Frame::data(Bytes::from(next))).await.unwrap();
    }
    drop(sender);
    assert!(within("the end", echoed.frame()).await.is_none());
    let large = Bytes::from(vec![b'e'; 1 << 20]);
    assert_eq!(gateway.post("/echo", large.clone()).await.body, large);
}

#[tokio::test]
async fn axum_calls_what_the_package_lists_and_nothing_else() {
    let (listed, other) = (Upstream::start().await, Upstream::start().await);
    let gateway = axum(&format!("outbound = [\"http://{}\"]", listed.address));
    let called = gateway
        .get(&format!("/outside?to=http://{}/path", listed.address))
        .await;
    assert_eq!(called.text(), "GET /path");
    let denied = gateway
        .get(&format!("/outside?to=http://{}/path", other.address))
        .await;
    assert_eq!(denied.status, 502);
    assert!(
        denied.text().contains("HttpRequestDenied"),
        "{}",
        denied.text()
    );
    assert!(other.seen().is_empty());
}
