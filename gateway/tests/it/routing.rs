//! Routing: the package that a request reaches, and the answer where there is none.

use std::path::Path;

use crate::harness::{Builder, Reply, TestGateway, empty, full, guest};

/// A package that answers its own name, so that a test sees which route was taken.
trait Named {
    fn named(self, name: &str) -> Self;
}

impl Named for Builder {
    fn named(self, name: &str) -> Self {
        let source = guest("reports_its_environment");
        self.package(
            name,
            Path::new(&source),
            &format!("env = {{ WHO = \"{name}\" }}"),
        )
    }
}

#[track_caller]
fn assert_reached(reply: &Reply, name: &str) {
    let who = format!("env WHO={name}\n");
    assert!(
        reply.status == 200 && reply.text().contains(&who),
        "{}: {}",
        reply.status,
        reply.text()
    );
}

#[tokio::test]
async fn an_unknown_path_is_no_route() {
    let gateway = TestGateway::builder().guest("hello").start();
    for target in ["/", "/hell", "/hello/", "/hello/x", "/HELLO"] {
        gateway.get(target).await.assert_error(404, "no-route");
    }
}

#[tokio::test]
async fn the_most_specific_path_wins_whatever_the_order() {
    let gateway = TestGateway::builder()
        .named("rest")
        .named("param")
        .named("fixed")
        .route("/shop/{*rest}", "rest")
        .route("/shop/{item}", "param")
        .route("/shop/latte", "fixed")
        .start();
    assert_reached(&gateway.get("/shop/latte").await, "fixed");
    assert_reached(&gateway.get("/shop/latte?size=2").await, "fixed");
    assert_reached(&gateway.get("/shop/tea").await, "param");
    assert_reached(&gateway.get("/shop/latte/milk").await, "rest");
    assert_reached(&gateway.get("/shop/tea/milk/oat").await, "rest");
}

#[tokio::test]
async fn a_host_wins_over_none_and_an_exact_host_over_a_suffix() {
    let gateway = TestGateway::builder()
        .named("any")
        .named("suffix")
        .named("exact")
        .route("/x", "any")
        .route_with("/x", "suffix", "host = \"*.example.com\"")
        .route_with("/x", "exact", "host = \"shop.example.com\"")
        .start();
    for (host, package) in [
        ("shop.example.com", "exact"),
        ("shop.example.com:8080", "exact"),
        ("SHOP.Example.COM", "exact"),
        ("other.example.com", "suffix"),
        ("example.com", "any"),
        ("notexample.com", "any"),
        ("shop.example.com.evil.org", "any"),
    ] {
        let request = http::Request::get("/x")
            .header("host", host)
            .body(empty())
            .unwrap();
        assert_reached(&gateway.send(request).await, package);
    }
}

#[tokio::test]
async fn a_host_route_is_not_reached_through_another_host() {
    let gateway = TestGateway::builder()
        .named("exact")
        .route_with("/x", "exact", "host = \"shop.example.com\"")
        .start();
    gateway.get("/x").await.assert_error(404, "no-route");
}

#[tokio::test]
async fn an_http2_authority_is_the_host() {
    let gateway = TestGateway::builder()
        .named("exact")
        .route_with("/x", "exact", "host = \"shop.example.com\"")
        .start();
    let request = http::Request::get("http://shop.example.com/x")
        .body(empty())
        .unwrap();
    let response = gateway.http2().await.send_request(request).await.unwrap();
    assert_reached(&Reply::of(response).await.unwrap(), "exact");
}

#[tokio::test]
async fn routes_of_one_path_may_differ_by_method() {
    let gateway = TestGateway::builder()
        .named("reader")
        .named("writer")
        .route_with("/x", "reader", "methods = [\"GET\"]")
        .route_with("/x", "writer", "methods = [\"POST\", \"PUT\"]")
        .start();
    for (method, package) in [("GET", "reader"), ("POST", "writer"), ("PUT", "writer")] {
        let request = gateway.request(method, "/x").body(full("")).unwrap();
        assert_reached(&gateway.send(request).await, package);
    }
}

#[tokio::test]
async fn another_method_is_not_allowed_and_told_which_are() {
    let gateway = TestGateway::builder()
        .named("reader")
        .named("writer")
        .route_with("/x", "reader", "methods = [\"GET\"]")
        .route_with("/x", "writer", "methods = [\"POST\"]")
        .start();
    for method in ["DELETE", "PATCH", "BREW"] {
        let reply = gateway
            .send(gateway.request(method, "/x").body(empty()).unwrap())
            .await;
        reply.assert_error(405, "method-not-allowed");
        let mut allowed: Vec<&str> = reply
            .header("allow")
            .unwrap()
            .split(',')
            .map(str::trim)
            .collect();
        allowed.sort_unstable();
        assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    }
}

#[tokio::test]
async fn head_falls_to_get() {
    let gateway = TestGateway::builder()
        .named("reader")
        .route_with("/x", "reader", "methods = [\"GET\"]")
        .start();
    let reply = gateway
        .send(gateway.request("HEAD", "/x").body(empty()).unwrap())
        .await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
}

#[tokio::test]
async fn head_on_a_route_without_get_is_not_allowed() {
    let gateway = TestGateway::builder()
        .named("writer")
        .route_with("/x", "writer", "methods = [\"POST\"]")
        .start();
    let reply = gateway
        .send(gateway.request("HEAD", "/x").body(empty()).unwrap())
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("allow")),
        (405, Some("POST"))
    );
}

#[tokio::test]
async fn the_guest_sees_the_path_after_the_stripped_prefix() {
    let strip = "strip_prefix = \"/c\"";
    let gateway = TestGateway::builder()
        .package("report", &guest("reports_its_request"), "")
        .route_with("/c", "report", strip)
        .route_with("/c/{*rest}", "report", strip)
        .route("/cafe/{*rest}", "report")
        .start();
    for (sent, seen) in [
        ("/c/items", "/items"),
        ("/c/a/b?x=1&y", "/a/b?x=1&y"),
        ("/c", "/"),
        ("/c?x=1", "/?x=1"),
    ] {
        let report = gateway.get(sent).await.text();
        assert!(
            report.contains(&format!("target: {seen}\n")),
            "{sent}: {report}"
        );
        assert!(
            report.contains("header x-forwarded-prefix: /c\n"),
            "{sent}: {report}"
        );
    }
    let report = gateway.get("/cafe/c/items").await.text();
    assert!(report.contains("target: /cafe/c/items\n"), "{report}");
    assert!(!report.contains("x-forwarded-prefix"), "{report}");
}

#[tokio::test]
async fn ten_thousand_routes_are_served() {
    let builder = TestGateway::builder().named("numbered").named("last");
    let builder = (0..10_000).fold(builder, |builder, n| {
        builder.route(&format!("/numbered/{n}/{{item}}"), "numbered")
    });
    let gateway = builder.route("/last", "last").start();
    assert_reached(&gateway.get("/numbered/0/x").await, "numbered");
    assert_reached(&gateway.get("/numbered/9999/x").await, "numbered");
    assert_reached(&gateway.get("/last").await, "last");
    gateway
        .get("/numbered/10000/x")
        .await
        .assert_error(404, "no-route");
}
