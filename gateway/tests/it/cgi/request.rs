//! What a program is told of its request, and of nothing else.

use std::collections::BTreeMap;

use http::Request;

use super::{BOTH, TARGETS, assert_unharmed, both};
use crate::harness::{Reply, TestGateway, empty, script, within};

fn variables(reply: &Reply) -> BTreeMap<String, String> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = reply.text();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[track_caller]
fn assert_told(told: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(
            told.get(*name).map(String::as_str),
            Some(*value),
            "{name}: {told:#?}"
        );
    }
}

#[tokio::test]
async fn the_variables_of_rfc_3875_tell_of_the_request() {
    let gateway = both("", "env = { GREETING = \"hello\" }").start();
    let host = gateway.address.to_string();
    let port = gateway.address.port().to_string();
    for name in BOTH {
        let request = gateway
            .request("POST", &format!("/{name}/environment?a=b%20c&d=--version"))
            .header("x-test", "value")
            .header("x-list", "one")
            .header("x-list", "two")
            .header("content-type", "text/plain; charset=utf-8")
            .header("content-length", "0")
            .header("proxy", "http://evil.example")
            .header("x_test", "forged")
            .header("x-wasmgate-error", "forged");
        let reply = gateway.send(request.body(empty()).unwrap()).await;
        let told = variables(&reply);
        let (script, url) = (
            format!("/{name}"),
            format!("/{name}/environment?a=b%20c&d=--version"),
        );
        assert_told(
            &told,
            &[
                ("GATEWAY_INTERFACE", "CGI/1.1"),
                ("REQUEST_METHOD", "POST"),
                ("SCRIPT_NAME", &script),
                ("PATH_INFO", "/environment"),
                ("QUERY_STRING", "a=b%20c&d=--version"),
                ("REQUEST_URI", &url),
                ("CONTENT_TYPE", "text/plain; charset=utf-8"),
                ("CONTENT_LENGTH", "0"),
                ("SERVER_NAME", "127.0.0.1"),
                ("SERVER_PORT", &port),
                ("SERVER_PROTOCOL", "HTTP/1.1"),
                ("REMOTE_ADDR", "127.0.0.1"),
                ("HTTP_HOST", &host),
                ("HTTP_X_TEST", "value"),
                ("HTTP_X_LIST", "one, two"),
                ("X_MATCHED_ROUTE", &format!("/{name}/{{*rest}}")),
                ("GREETING", "hello"),
            ],
        );
        assert!(told["SERVER_SOFTWARE"].starts_with("wasmgate/"));
        assert!(told.contains_key("HTTP_X_REQUEST_ID"));
        for absent in [
            "HTTP_PROXY",
            "HTTP_CONTENT_TYPE",
            "HTTP_X_WASMGATE_ERROR",
            "HOME",
            "PATH",
            "APP_ID",
        ] {
            assert!(!told.contains_key(absent), "{absent}: {told:#?}");
        }
        let arguments = gateway
            .get(&format!("/{name}/arguments?--version+-x"))
            .await;
        assert_eq!(arguments.text(), format!("[{name:?}]"));
    }
}

#[tokio::test]
async fn a_program_has_the_arguments_that_its_package_says_and_none_of_its_clients() {
    let gateway = both("", "args = [\"/app.rb\", \"-w\", \"two words\"]").start();
    for name in BOTH {
        let reply = gateway.get(&format!("/{name}/arguments?--help")).await;
        assert_eq!(
            reply.text(),
            format!("[{name:?}, \"/app.rb\", \"-w\", \"two words\"]")
        );
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_field_of_a_client_stands_below_what_the_package_sets() {
    let gateway = both(
        "",
        "env = { HTTP_X_ROLE = \"guest\", REMOTE_USER = \"nobody\" }",
    )
    .start();
    for name in BOTH {
        let request = gateway
            .request("GET", &format!("/{name}/environment"))
            .header("x-role", "admin");
        let reply = gateway.send(request.body(empty()).unwrap()).await;
        assert_told(
            &variables(&reply),
            &[("HTTP_X_ROLE", "guest"), ("REMOTE_USER", "nobody")],
        );
        assert_eq!(reply.text().matches("HTTP_X_ROLE=").count(), 1);
    }
}

#[tokio::test]
async fn the_path_is_told_as_the_route_has_it() {
    let program = script(TARGETS[0]);
    let gateway = TestGateway::builder()
        .package("all", &program, "kind = \"cgi\"")
        .route_with("/c/v1/{*rest}", "all", "strip_prefix = \"/c\"")
        .route("/orders/{id}", "all")
        .route("/{*rest}", "all")
        .start();
    // Any path but its own is told by the status line of the answer; the environment is asked for in a query.
    for (path, script, info, uri) in [
        ("/environment", "", "/environment", "/environment"),
        (
            "/c/v1/environment",
            "/c/v1",
            "/environment",
            "/c/v1/environment",
        ),
        (
            "/orders/environment",
            "/orders",
            "/environment",
            "/orders/environment",
        ),
        ("/x/../%65nvironment", "", "/environment", "/environment"),
    ] {
        let told = variables(&gateway.get(path).await);
        assert_told(
            &told,
            &[
                ("SCRIPT_NAME", script),
                ("PATH_INFO", info),
                ("REQUEST_URI", uri),
            ],
        );
    }
    let reply = gateway.get("/environment%00").await;
    reply.assert_error(400, "bad-request");
    let reply = gateway.get("/c/v1/%ff%2F..").await;
    assert_eq!(reply.status, 404, "{}", reply.text());
}

#[tokio::test]
async fn the_version_and_the_client_behind_a_proxy_are_told() {
    let program = script(TARGETS[0]);
    let gateway = TestGateway::builder()
        .server("trusted_proxies = [\"127.0.0.1\"]")
        .package("all", &program, "kind = \"cgi\"")
        .route("/{*rest}", "all")
        .start();
    let mut connection = gateway.http2().await;
    let request = Request::get(format!("http://{}/environment", gateway.address))
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(empty())
        .unwrap();
    let response = within("a response", connection.send_request(request)).await;
    let told = variables(&Reply::of(response.unwrap()).await.unwrap());
    assert_told(
        &told,
        &[
            ("SERVER_PROTOCOL", "HTTP/2.0"),
            ("REMOTE_ADDR", "203.0.113.9"),
            ("HTTPS", "on"),
            ("REQUEST_SCHEME", "https"),
            ("HTTP_COOKIE", "a=1; b=2"),
        ],
    );
}

#[tokio::test]
async fn a_long_head_is_told_whole() {
    let gateway = both("", "").start();
    for name in BOTH {
        let mut request = gateway.request("GET", &format!("/{name}/environment"));
        for at in 0..60 {
            request = request.header(format!("x-field-{at}"), "v".repeat(500));
        }
        request = request.header("x-long", "l".repeat(16 << 10));
        let reply = gateway.send(request.body(empty()).unwrap()).await;
        let told = variables(&reply);
        assert_eq!(told["HTTP_X_LONG"].len(), 16 << 10);
        assert!((0..60).all(|at| told[&format!("HTTP_X_FIELD_{at}")].len() == 500));
    }
}

#[tokio::test]
async fn a_program_sees_nothing_else_of_the_machine() {
    let gateway = both("", "").start();
    for name in BOTH {
        let text = gateway.get(&format!("/{name}/world")).await.text();
        assert_eq!(
            text,
            "files [false, false, false, false] written false connected false time true"
        );
        assert_eq!(gateway.get(&format!("/{name}/count")).await.text(), "1");
        assert_eq!(gateway.get(&format!("/{name}/count")).await.text(), "1");
    }
    assert_unharmed(&gateway).await;
}
