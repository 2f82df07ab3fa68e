//! The reach of a service: other origins and the building blocks, by the same rules and counts.

use std::net::SocketAddr;

use crate::harness::{Reply, Scripted, TestGateway, Upstream, full, until};

use super::{assert_unharmed, beside_hello};

fn origin(address: SocketAddr) -> String {
    format!("http://{address}")
}

async fn to(gateway: &TestGateway, method: &str, path: &str, url: &str) -> Reply {
    let request = gateway
        .request(method, &format!("/new/{path}"))
        .header("x-url", url);
    gateway.send(request.body(full("a body")).unwrap()).await
}

fn allowed(origins: &[String]) -> TestGateway {
    beside_hello("", &format!("outbound = {origins:?}")).start()
}

#[tokio::test]
async fn a_listed_origin_is_called_with_both_bodies() {
    let upstream = Upstream::start().await;
    let gateway = allowed(&[origin(upstream.address)]);
    for path in ["fetch", "proxy"] {
        let url = format!("{}/path", origin(upstream.address));
        let reply = to(&gateway, "POST", path, &url).await;
        assert_eq!(reply.text(), "POST /path  a body", "{path}");
        assert_unharmed(&gateway).await;
    }
    let labels = [("package", "new")];
    let calls = gateway
        .metrics()
        .await
        .sum("wasmgate_outbound_requests_total", &labels);
    assert_eq!(calls, 2.0);
}

#[tokio::test]
async fn an_origin_that_is_not_listed_and_an_address_in_disguise_stay_closed() {
    let (listed, other) = (Upstream::start().await, Upstream::start().await);
    let gateway = allowed(&[origin(listed.address), "http://169.254.169.254".to_owned()]);
    let port = listed.address.port();
    for url in [
        format!("{}/", origin(other.address)),
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1.example.com:{port}/"),
        format!("http://{}@{}/", listed.address, other.address),
        "http://169.254.169.254/latest".to_owned(),
        "http://[::ffff:169.254.169.254]/latest".to_owned(),
    ] {
        for path in ["fetch", "proxy"] {
            let answer = to(&gateway, "GET", path, &url).await.text();
            assert!(answer.contains("HttpRequestDenied"), "{url}: {answer}");
        }
    }
    assert!(other.seen().is_empty() && listed.seen().is_empty());
    let labels = [("package", "new"), ("reason", "outbound-denied")];
    assert!(
        gateway
            .metrics()
            .await
            .sum("wasmgate_refusals_total", &labels)
            >= 12.0
    );
}

#[tokio::test]
async fn no_more_requests_are_under_way_at_once_than_may_be() {
    let silent = Scripted::start(|mut peer, _| async move { peer.gone().await }).await;
    let gateway = beside_hello(
        "timeout = \"3s\"",
        &format!(
            "outbound = [{:?}]\nlimits = {{ outbound_per_instance = 4 }}",
            silent.origin()
        ),
    )
    .start();
    let reply = gateway
        .send(
            gateway
                .request("GET", "/new/many?calls=20")
                .header("x-url", silent.origin())
                .body(full(""))
                .unwrap(),
        )
        .await;
    // Four wait for an answer that never comes; the others were refused at once.
    reply.assert_error(504, "deadline");
    assert_eq!(silent.connections(), 4);
    let labels = [("package", "new"), ("reason", "outbound-limit")];
    assert_eq!(
        gateway
            .metrics()
            .await
            .sum("wasmgate_refusals_total", &labels),
        16.0
    );
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn an_upload_of_a_guest_that_dies_never_looks_whole() {
    for then in ["trap", "spin"] {
        let ended = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&ended);
        let server = Scripted::start(move |mut peer, _| {
            let seen = std::sync::Arc::clone(&seen);
            async move {
                let mut all = Vec::new();
                let _ = tokio::io::AsyncReadExt::read_to_end(&mut peer.0, &mut all).await;
                seen.lock().unwrap().push(all);
            }
        })
        .await;
        let lines = format!("outbound = [{:?}]", server.origin());
        let gateway = beside_hello("timeout = \"4s\"", &lines).start();
        let path = format!("upload?then={then}");
        let reply = to(&gateway, "GET", &path, &server.origin()).await;
        assert!(reply.status.is_server_error(), "{then}");
        until("the end of the upload", || async {
            !ended.lock().unwrap().is_empty()
        })
        .await;
        let all = ended.lock().unwrap().concat();
        assert!(all.len() > 256 << 10, "{then}: {} bytes", all.len());
        assert!(
            !all.ends_with(b"0\r\n\r\n"),
            "{then}: the upload looks whole"
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_no_end() {
    let server = Scripted::start(|mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\na part")
            .await;
    })
    .await;
    let gateway = allowed(&[server.origin()]);
    let answer = to(&gateway, "GET", "fetch", &server.origin()).await.text();
    assert_eq!(answer, "after 6 bytes: ErrorCode::HttpResponseIncomplete");
}

#[tokio::test]
async fn the_building_blocks_answer_by_the_packages_grants() {
    let gateway = beside_hello("", r#"dapr = { state = ["statestore"] }"#).start();
    let call = async |method: &str, path: &str, body: &'static str| {
        let request = gateway.request(method, "/new/dapr").header("x-call", path);
        gateway.send(request.body(full(body)).unwrap()).await
    };
    let saved = call(
        "POST",
        "/v1.0/state/statestore",
        r#"[{"key":"k","value":"kept"}]"#,
    )
    .await;
    assert_eq!(saved.status, 204);
    assert_eq!(
        call("GET", "/v1.0/state/statestore/k", "").await.text(),
        "\"kept\""
    );
    let refused = call("POST", "/v1.0/publish/pubsub/orders", "1").await;
    assert_eq!(refused.status, 403, "{}", refused.text());
}

#[tokio::test]
async fn an_event_is_delivered_to_a_service() {
    let lines = r#"env = { SUBSCRIPTIONS = '[{"pubsubname":"pubsub","topic":"orders","route":"/events"}]' }
        dapr = { state = ["statestore"], publish = ["pubsub/*"], subscribe = ["pubsub/*"] }"#;
    let gateway = beside_hello("", lines).start();
    gateway.ready().await;
    let call = async |method: &str, path: &str| {
        let request = gateway.request(method, "/new/dapr").header("x-call", path);
        gateway.send(request.body(full("1")).unwrap()).await
    };
    assert_eq!(
        call("POST", "/v1.0/publish/pubsub/orders").await.status,
        204
    );
    until("the event", || async {
        call("GET", "/v1.0/state/statestore/event").await.text() == "\"came\""
    })
    .await;
    // No route from outside leads there.
    assert_eq!(gateway.get("/events").await.status, 404);
}

#[tokio::test]
async fn services_that_invoke_each_other_without_end_are_stopped_by_508() {
    let gateway = beside_hello("", r#"dapr = { invoke = ["new"] }"#).start();
    let path = "/v1.0/invoke/new/method/new/dapr";
    let invoke = async |depth: usize| {
        let mut request = gateway.request("GET", "/new/dapr").header("x-call", path);
        // The header of each level is in the headers of the one above, and so is a depth of the guest's own making.
        for level in 1..depth {
            let sent = "x-send-".repeat(level);
            request = request
                .header(format!("{sent}x-call"), path)
                .header(format!("{sent}wasmgate-depth"), "0");
        }
        gateway.send(request.body(full("")).unwrap()).await
    };
    // The last one has nothing more to call.
    assert_eq!(invoke(16).await.status, 404);
    let refused = invoke(17).await;
    assert_eq!(refused.status, 508, "{}", refused.text());
    assert_unharmed(&gateway).await;
}
