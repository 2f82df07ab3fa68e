//! The reach of a guest's requests: what its package lists, and nothing that only looks like it.

use std::net::SocketAddr;
use wasmgate_real_dapr::Place;

use crate::harness::{Signal, TestGateway, Upstream, full, until};

/// The error that a guest sees when a call is not allowed.
const DENIED: &str = "HttpRequestDenied";

/// A gateway whose caller may reach these origins.
fn allowed(origins: &[String]) -> TestGateway {
    TestGateway::builder()
        .guest_with("calls_out", &format!("outbound = {origins:?}"))
        .start()
}

fn origin(address: SocketAddr) -> String {
    format!("http://{address}")
}

async fn call(gateway: &TestGateway, url: &str) -> String {
    gateway.get(&format!("/calls-out?to={url}")).await.text()
}

#[tokio::test]
async fn a_listed_origin_is_called() {
    let upstream = Upstream::start().await;
    let gateway = allowed(&[origin(upstream.address)]);
    let answer = call(&gateway, &format!("{}/path", origin(upstream.address))).await;
    assert_eq!(answer, "GET /path");
}

#[tokio::test]
async fn method_header_and_body_reach_the_other_side() {
    let upstream = Upstream::start().await;
    let gateway = allowed(&[origin(upstream.address)]);
    let target = format!("/calls-out?to={}/path", origin(upstream.address));
    let request = gateway.request("POST", &target).header("x-test", "value");
    let reply = gateway.send(request.body(full("a body")).unwrap()).await;
    assert_eq!(reply.text(), "POST /path value a body");
}

#[tokio::test]
async fn nothing_is_called_without_outbound() {
    let upstream = Upstream::start().await;
    let gateway = TestGateway::builder().guest("calls_out").start();
    let answer = call(&gateway, &format!("{}/path", origin(upstream.address))).await;
    assert!(
        answer.starts_with("error:") && answer.contains(DENIED),
        "{answer}"
    );
    assert!(upstream.seen().is_empty() && upstream.connections() == 0);
}

#[tokio::test]
async fn an_origin_that_is_not_listed_is_denied() {
    let (listed, other) = (Upstream::start().await, Upstream::start().await);
    let gateway = allowed(&[origin(listed.address)]);
    let port = listed.address.port();
    for url in [
        format!("{}/", origin(other.address)),
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1.example.com:{port}/"),
        "http://127.0.0.1/".to_owned(),
    ] {
        let answer = call(&gateway, &url).await;
        assert!(answer.contains(DENIED), "{url}: {answer}");
    }
    assert!(other.seen().is_empty() && listed.seen().is_empty());
}

#[tokio::test]
async fn credentials_in_an_authority_do_not_disguise_another_host() {
    let (listed, other) = (Upstream::start().await, Upstream::start().await);
    let gateway = allowed(&[origin(listed.address)]);
    let answer = call(
        &gateway,
        &format!("http://{}@{}/", listed.address, other.address),
    )
    .await;
    assert!(answer.starts_with("error:"), "{answer}");
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn localhost_is_called_when_the_operator_lists_it() {
    let upstream = Upstream::start().await;
    let localhost = format!("http://localhost:{}", upstream.address.port());
    let gateway = allowed(std::slice::from_ref(&localhost));
    assert_eq!(
        call(&gateway, &format!("{localhost}/path")).await,
        "GET /path"
    );
}

#[tokio::test]
async fn a_listed_name_that_resolves_to_a_closed_address_is_denied() {
    let upstream = Upstream::start().await;
    // The names that this machine itself gives its loopback addresses stand for a public name
    // whose records point there.
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let names: Vec<&str> = hosts
        .lines()
        .filter(|line| line.starts_with("127.") || line.starts_with("::1"))
        .flat_map(|line| {
            line.split_whitespace()
                .skip(1)
                .take_while(|word| !word.starts_with('#'))
        })
        .filter(|name| *name != "localhost")
        .collect();
    for name in &names {
        let disguised = format!("http://{name}:{}", upstream.address.port());
        let gateway = allowed(std::slice::from_ref(&disguised));
        let answer = call(&gateway, &format!("{disguised}/")).await;
        assert_closed(&answer, name);
    }
    assert!(upstream.seen().is_empty());
    println!("names of the loopback address tried: {names:?}");
}

#[tokio::test]
async fn an_address_in_disguise_stays_closed() {
    let upstream = Upstream::start().await;
    let port = upstream.address.port();
    // No addresses to a strict parser, yet resolvers read them as loopback and link-local ones.
    for host in ["127.1", "0x7f000001", "2130706433", "0xa9fea9fe"] {
        let origin = format!("http://{host}:{port}");
        if let Some(told) = mistakes_in(&origin) {
            assert!(told.contains(host), "{host}: {told}");
        } else {
            let gateway = allowed(std::slice::from_ref(&origin));
            assert_closed(&call(&gateway, &format!("{origin}/")).await, host);
        }
    }
    assert!(upstream.seen().is_empty());
}

/// Checks that a guest was told that the address, or the whole call, is not allowed.
#[track_caller]
fn assert_closed(answer: &str, host: &str) {
    let closed = answer.contains(DENIED) || answer.contains("DestinationIpProhibited");
    assert!(answer.starts_with("error:") && closed, "{host}: {answer}");
}

#[tokio::test]
async fn a_redirect_is_the_guests_business() {
    let upstream = Upstream::start().await;
    let gateway = allowed(&[origin(upstream.address)]);
    let target = format!("/calls-out?to={}/redirect", origin(upstream.address));
    assert_eq!(gateway.get(&target).await.status, 302);
    assert_eq!(upstream.seen(), ["GET /redirect"]);
}

#[tokio::test]
async fn connections_are_shared_by_the_instances() {
    let upstream = Upstream::start().await;
    let gateway = TestGateway::builder()
        .server("workers = 1")
        .guest_with(
            "calls_out",
            &format!("outbound = [\"{}\"]", origin(upstream.address)),
        )
        .start();
    for _ in 0..20 {
        assert_eq!(
            call(&gateway, &format!("{}/", origin(upstream.address))).await,
            "GET /"
        );
    }
    assert!(
        upstream.connections() < 20,
        "{} connections for 20 calls",
        upstream.connections()
    );
}

#[tokio::test]
async fn a_call_to_a_port_where_nobody_listens_is_an_error_for_the_guest() {
    let place = Place::new();
    let free = place.at(3000);
    let gateway = allowed(&[origin(free)]);
    let answer = call(&gateway, &format!("{}/", origin(free))).await;
    assert!(
        answer.starts_with("error:") && !answer.contains(DENIED),
        "{answer}"
    );
}

#[test]
fn an_origin_without_a_scheme_is_a_mistake_in_the_configuration() {
    let told = mistakes_in("api.example.com").expect("a mistake");
    assert!(told.contains("api.example.com"), "{told}");
}

/// Returns what `wasmgate check` says against an origin, if it does.
fn mistakes_in(origin: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let toml = TestGateway::builder()
        .guest_with("calls_out", &format!("outbound = [\"{origin}\"]"))
        .toml();
    std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
    let output = crate::harness::run(folder.path(), &["check"]);
    if output.status.success() {
        return None;
    }
    assert_eq!(output.status.code(), Some(64));
    Some(String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn what_libraries_say_of_a_guests_mistake_is_not_in_the_log() {
    let mut gateway = TestGateway::builder().guest("calls_out").start();
    let answer = call(&gateway, "http:///").await;
    assert!(answer.contains("HttpRequestUriInvalid"), "{answer}");
    let answer = call(&gateway, "http://127.0.0.1:1/").await;
    assert!(answer.contains(DENIED), "{answer}");
    gateway.signal(Signal::Terminate);
    gateway.ended().await;
    let refused = "an outbound request was refused";
    until("the log is whole", async || gateway.log().contains(refused)).await;
    let log = gateway.log();
    assert!(!log.contains("wasmtime_wasi_http"), "{log}");
}
