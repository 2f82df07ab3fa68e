//! The world around a service, and which components are taken for one.

use tempfile::TempDir;

use super::beside_hello;
use crate::harness::{TestGateway, accepted, assert_refused, check, guest};

#[tokio::test]
async fn a_service_sees_its_own_environment_and_nothing_else_of_the_machine() {
    let gateway = beside_hello("", "env = { GREETING = \"hello\" }").start();
    let text = gateway.get("/new/world").await.text();
    let (first, second) = text.split_once('\n').unwrap();
    assert_eq!(
        first,
        "environment [(\"GREETING\", \"hello\")] arguments [] folders 0 random true"
    );
    assert_eq!(
        second, "files false own 1",
        "Rust's own library is of WASI 0.2"
    );
    let socket = gateway.get("/new/socket").await.text();
    assert!(!socket.contains("Ok"), "{socket}");
}

#[tokio::test]
async fn services_and_proxies_are_served_side_by_side_in_either_engine() {
    let gateway = TestGateway::builder()
        .guest("hello")
        .guest("p3_hello")
        .package("mapped", &guest("p3_hello"), "engine = \"copy-on-write\"")
        .route("/mapped", "mapped")
        .start();
    for path in ["/hello", "/p3-hello", "/mapped"] {
        assert_eq!(gateway.get(path).await.text(), "Hello from a package\n");
    }
    let packages: serde_json::Value = serde_json::from_str(&gateway.admin_get("/packages").await.text()).unwrap();
    let packages: Vec<_> = packages.as_array().unwrap().iter().collect();
    let told = |name: &str, key: &str| {
        let package = packages
            .iter()
            .find(|package| package["name"] == name)
            .unwrap();
        package[key].as_str().unwrap().to_owned()
    };
    assert_eq!(told("hello", "world"), "wasi:http/proxy@0.2");
    assert_eq!(told("p3-hello", "world"), "wasi:http/service@0.3");
    assert_eq!(told("mapped", "engine"), "copy-on-write");
    let live = |state: &'static str| {
        [
            ("engine", "copy-on-write"),
            ("kind", "memory"),
            ("state", state),
        ]
    };
    let metrics = gateway.metrics().await;
    assert!(metrics.sum("wasmgate_pool_slots", &live("warm")) > 0.0);
}

#[test]
fn check_names_the_world_and_what_is_not_a_service() {
    let folder = TempDir::new().unwrap();
    let told = accepted(&check(folder.path(), &guest("p3_hello"), ""));
    assert!(
        told.contains("suspect is made for wasi:http/service@0.3"),
        "{told}"
    );
    let instance = |name: &str| format!(r#"(instance $i) (export "{name}" (instance $i))"#);
    for (text, words) in [
        (
            format!(
                r#"(component (import "wasi:http/handler@0.3.0" (instance (export "f" (func)))) {})"#,
                instance("wasi:http/handler@0.3.0")
            ),
            ["is a middleware", "wac plug"],
        ),
        (
            format!(
                "(component {})",
                instance("wasi:http/handler@0.3.0-rc-2026-03-15")
            ),
            [
                "0.3.0-rc-2026-03-15, a draft of WASI",
                "wasi:http/service@0.3",
            ],
        ),
        (
            format!(
                r#"(component (import "acme:weather/forecast@1.0.0" (instance (export "f" (func)))) {})"#,
                instance("wasi:http/handler@0.3.0")
            ),
            ["acme:weather/forecast@1.0.0", "wac plug"],
        ),
        (
            format!("(component {})", instance("wasi:http/handler@0.4.0")),
            ["a component of WASI 0.4.0", "runs WASI 0.2 and 0.3"],
        ),
    ] {
        let source = folder.path().join("suspect.wasm");
        std::fs::write(&source, wat::parse_str(&text).unwrap()).unwrap();
        assert_refused(&check(folder.path(), &source, ""), &words);
    }
}
