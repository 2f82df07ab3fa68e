//! The headers by which a request is known: its id, its trace context, and where it came from.

use crate::harness::{Reply, TestGateway, empty};

async fn report(gateway: &TestGateway, headers: &[(&str, &[u8])]) -> Reply {
    let mut request = gateway.request("GET", "/reports-its-request");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    gateway.send(request.body(empty()).unwrap()).await
}

fn gateway() -> TestGateway {
    TestGateway::builder()
        .guest("reports_its_request")
        .guest("hello")
        .start()
}

/// Returns what the guest saw of a header.
fn seen(reply: &Reply, name: &str) -> Option<String> {
    let prefix = format!("header {name}: ");
    reply
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .map(str::to_owned)
}

#[tokio::test]
async fn a_sane_request_id_is_kept() {
    let gateway = gateway();
    let longest = "i".repeat(128);
    for id in ["abc-123", "~!{}", longest.as_str()] {
        let reply = report(&gateway, &[("x-request-id", id.as_bytes())]).await;
        assert_eq!(reply.header("x-request-id"), Some(id));
        assert_eq!(seen(&reply, "x-request-id").as_deref(), Some(id));
    }
}

#[tokio::test]
async fn a_request_id_that_is_no_id_is_replaced() {
    let gateway = gateway();
    let too_long = "i".repeat(129);
    for id in [
        "".as_bytes(),
        b"two words",
        b"caf\xc3\xa9",
        too_long.as_bytes(),
    ] {
        let reply = report(&gateway, &[("x-request-id", id)]).await;
        let made = reply.header("x-request-id").unwrap();
        assert!(
            !made.is_empty() && made.len() <= 128 && made.as_bytes() != id,
            "{made}"
        );
        assert_eq!(seen(&reply, "x-request-id").as_deref(), Some(made));
    }
}

#[tokio::test]
async fn a_request_id_is_made_for_each_request_and_told_in_every_answer() {
    let gateway = gateway();
    let mut ids = Vec::new();
    for target in ["/reports-its-request", "/hello", "/hello", "/missing"] {
        let reply = gateway.get(target).await;
        ids.push(reply.header("x-request-id").expect("an id").to_owned());
    }
    let answers = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), answers, "an id was given twice: {ids:?}");
}

#[tokio::test]
async fn trace_context_is_passed_on() {
    let gateway = gateway();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [
        ("traceparent", parent.as_bytes()),
        ("tracestate", b"vendor=value".as_slice()),
    ];
    let reply = report(&gateway, &headers).await;
    let passed_on = seen(&reply, "traceparent").unwrap();
    assert!(
        is_traceparent(&passed_on) && passed_on.contains(trace),
        "{passed_on}"
    );
    assert!(
        passed_on.ends_with("-01"),
        "the sampling decision is the caller's: {passed_on}"
    );
    assert_eq!(seen(&reply, "tracestate").as_deref(), Some("vendor=value"));
}

#[tokio::test]
async fn trace_context_is_made_when_there_is_none_or_it_makes_no_sense() {
    let gateway = gateway();
    let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
    for broken in [
        None,
        Some("nonsense"),
        Some(zeros.as_str()),
        Some("00-abc-def-01"),
    ] {
        let headers: Vec<_> = broken
            .iter()
            .map(|value| ("traceparent", value.as_bytes()))
            .collect();
        let reply = report(&gateway, &headers).await;
        let made = seen(&reply, "traceparent").unwrap();
        assert!(
            is_traceparent(&made) && Some(made.as_str()) != broken,
            "{made}"
        );
    }
}

/// Returns whether a value is `00-<32 hex>-<16 hex>-<2 hex>` with ids that are not all zeros.
fn is_traceparent(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    let [version, trace, parent, flags] = parts.as_slice() else {
        return false;
    };
    let hex = |part: &str, digits| part.len() == digits && part.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    let set = |part: &str| part.bytes().any(|c| c != b'0');
    *version == "00" && hex(trace, 32) && set(trace) && hex(parent, 16) && set(parent) && hex(flags, 2)
}

#[tokio::test]
async fn only_a_trusted_proxy_is_believed_where_a_request_comes_from() {
    let said: [(&str, &[u8]); 4] = [
        ("x-forwarded-proto", b"https"),
        ("x-forwarded-for", b"10.1.2.3"),
        ("x-forwarded-host", b"shop.example.com"),
        ("forwarded", b"for=10.1.2.3"),
    ];
    let anybody = report(&gateway(), &said).await;
    assert_eq!(
        seen(&anybody, "x-forwarded-for").as_deref(),
        Some("127.0.0.1")
    );
    assert_eq!(seen(&anybody, "x-forwarded-proto").as_deref(), Some("http"));
    assert_ne!(
        seen(&anybody, "x-forwarded-host").as_deref(),
        Some("shop.example.com")
    );
    assert_eq!(seen(&anybody, "forwarded"), None);
    for proxies in ["127.0.0.1", "127.0.0.0/8"] {
        let gateway = TestGateway::builder()
            .server(&format!("trusted_proxies = [\"::1\", \"{proxies}\"]"))
            .guest("reports_its_request")
            .start();
        let proxy = report(&gateway, &said).await;
        assert_eq!(
            seen(&proxy, "x-forwarded-for").as_deref(),
            Some("10.1.2.3, 127.0.0.1")
        );
        assert_eq!(seen(&proxy, "x-forwarded-proto").as_deref(), Some("https"));
        assert_eq!(
            seen(&proxy, "x-forwarded-host").as_deref(),
            Some("shop.example.com")
        );
    }
}

#[tokio::test]
async fn the_guest_sees_where_the_request_came_from() {
    let gateway = gateway();
    let reply = report(
        &gateway,
        &[
            ("x-forwarded-proto", b"https"),
            ("x-forwarded-for", b"10.1.2.3"),
        ],
    )
    .await;
    let path = seen(&reply, "x-forwarded-for").unwrap();
    assert_eq!(
        path.rsplit(',').next().map(str::trim),
        Some("127.0.0.1"),
        "{path}"
    );
    assert_eq!(
        seen(&reply, "x-forwarded-host"),
        Some(gateway.address.to_string())
    );

    let direct = report(&gateway, &[]).await;
    assert_eq!(
        seen(&direct, "x-forwarded-for").as_deref(),
        Some("127.0.0.1")
    );
    assert_eq!(seen(&direct, "x-forwarded-proto").as_deref(), Some("http"));
}

#[tokio::test]
async fn the_guest_sees_method_scheme_and_authority() {
    let gateway = gateway();
    for method in ["GET", "POST", "DELETE", "OPTIONS", "PURGE"] {
        let request = gateway.request(method, "/reports-its-request?a=1&b=%20");
        let report = gateway.send(request.body(empty()).unwrap()).await.text();
        let expected = format!(
            "method: {method}\nscheme: http\nauthority: {}\ntarget: /reports-its-request?a=1&b=%20\n",
            gateway.address
        );
        assert!(report.starts_with(&expected), "{report}");
    }
}

#[tokio::test]
async fn headers_of_the_connection_stay_with_the_connection() {
    let gateway = gateway();
    let mut connection = gateway.raw().await;
    connection
        .send(
            "GET /reports-its-request HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, x-hop\r\n\
             x-hop: secret\r\nkeep-alive: timeout=5\r\nx-end: to-end\r\nx-end: twice\r\n\r\n",
        )
        .await;
    let report = connection.response().await.body;
    for name in ["connection", "keep-alive", "x-hop"] {
        assert!(
            !report.contains(&format!("header {name}:")),
            "{name}: {report}"
        );
    }
    assert!(
        report.contains("header x-end: to-end\nheader x-end: twice\n"),
        "{report}"
    );
}
