//! Another configuration in a gateway that serves: by POST /reload, by SIGHUP, and never by halves.

use std::{
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use serde_json::Value;

use crate::harness::{Builder, Reply, Signal, TestGateway, empty, full, send_to, until};

/// Asks for a reload as an operator on this machine does.
pub(crate) async fn reload(gateway: &TestGateway) -> Reply {
    let request = http::Request::post("/reload")
        .header("host", gateway.admin.to_string())
        .header("content-type", "application/json");
    send_to(gateway.admin, request.body(full("{}")).unwrap()).await
}

/// Writes another configuration and has it served.
pub(crate) async fn change(gateway: &TestGateway, builder: &Builder) -> Value {
    builder.write_to(gateway.folder());
    let reply = reload(gateway).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_str(&reply.text()).unwrap()
}

fn hello() -> Builder {
    TestGateway::builder().guest_as("site", "hello", "")
}

fn names(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect()
}

/// Open descriptors of the process.
fn descriptors(gateway: &TestGateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.pid()))
        .unwrap()
        .count()
}

#[tokio::test]
async fn routes_packages_and_environment_change_on_connections_that_are_open() {
    let gateway = hello().start();
    let mut connection = gateway.raw().await;
    let ask = "GET /site HTTP/1.1\r\nhost: x\r\n\r\n";
    connection.send(ask).await;
    assert_eq!(connection.response().await.status(), 200);
    let other = TestGateway::builder()
        .guest_as(
            "site",
            "reports_its_environment",
            "env = { COLOUR = \"red\" }",
        )
        .guest("hello");
    let told = change(&gateway, &other).await;
    assert_eq!(names(&told["changed"]), ["site"]);
    assert_eq!(names(&told["added"]), ["hello"]);
    connection.send(ask).await;
    let answer = connection.response().await;
    assert!(answer.body.contains("env COLOUR=red"), "{}", answer.body);
    assert_eq!(gateway.get("/hello").await.status, 200);
    let told = change(
        &gateway,
        &TestGateway::builder()
            .guest_as(
                "site",
                "reports_its_environment",
                "env = { COLOUR = \"blue\" }",
            )
            .guest("hello"),
    )
    .await;
    assert_eq!(names(&told["changed"]), ["site"]);
    assert!(gateway.get("/site").await.text().contains("COLOUR=blue"));
    let told = change(&gateway, &hello().route("/new", "site")).await;
    assert_eq!(names(&told["removed"]), ["hello"]);
    connection
        .send("GET /new HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    assert_eq!(connection.response().await.status(), 200);
    gateway.get("/hello").await.assert_error(404, "no-route");
}

#[tokio::test]
async fn what_did_not_change_is_neither_compiled_nor_loaded_again() {
    let gateway = hello().start();
    assert_eq!(gateway.get("/site").await.status, 200);
    let loads = async || {
        gateway
            .metrics()
            .await
            .sum("wasmgate_package_load_duration_seconds_count", &[])
    };
    assert_eq!(loads().await, 1.0);
    let told = change(&gateway, &hello().route("/b", "site")).await;
    assert_eq!(names(&told["changed"]), [] as [&str; 0]);
    // Another environment is another account, with the code that is loaded.
    let told = change(
        &gateway,
        &TestGateway::builder().guest_as("site", "hello", "env = { A = \"1\" }"),
    )
    .await;
    assert_eq!(names(&told["changed"]), ["site"]);
    assert_eq!(gateway.get("/site").await.status, 200);
    assert_eq!(loads().await, 1.0);
}

#[tokio::test]
async fn a_mistake_keeps_everything_as_it_was_and_is_told_everywhere() {
    let gateway = hello().start();
    let broken = TestGateway::builder()
        .package("site", std::path::Path::new("/no/such.wasm"), "colour = 1")
        .route("/other", "site");
    broken.write_to(gateway.folder());
    let reply = reload(&gateway).await;
    assert_eq!(reply.status, 422);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let problem: Value = serde_json::from_str(&reply.text()).unwrap();
    let mistakes = problem["mistakes"].as_array().unwrap();
    assert!(mistakes.len() >= 2, "all of them are told: {problem:#}");
    assert_eq!(gateway.get("/site").await.status, 200);
    gateway.get("/other").await.assert_error(404, "no-route");
    let ready = gateway.admin_get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("reload-failed"), "{}", ready.text());
    gateway
        .wait_for_metric("wasmgate_reloads_total", &[("result", "rejected")], 1)
        .await;
    gateway
        .wait_for_event(&[(
            "message",
            "the configuration was not reloaded; what was served is served still",
        )])
        .await;
    // Mended, it is served, and nothing is amiss any more.
    change(&gateway, &hello().route("/other", "site")).await;
    assert_eq!(gateway.get("/other").await.status, 200);
    assert_eq!(gateway.admin_get("/readyz").await.text(), "ok\n");
}

#[tokio::test]
async fn keys_that_need_a_restart_are_named_and_the_rest_is_served() {
    let gateway = hello().start();
    let told = change(
        &gateway,
        &hello().server("workers = 3").route("/new", "site"),
    )
    .await;
    assert_eq!(names(&told["needs_restart"]), ["server.workers"]);
    assert_eq!(gateway.get("/new").await.status, 200);
    let status = gateway.admin_get("/status").await.text();
    assert!(
        status.contains("restart-needed") && status.contains("\"/new\""),
        "{status}"
    );
}

#[tokio::test]
async fn a_hangup_reads_the_configuration_and_a_swapped_link_counts() {
    let gateway = hello().start();
    // As Kubernetes mounts a ConfigMap: the file is a link by way of a folder that is a link.
    let folder = gateway.folder();
    for (name, path) in [("first", "/first"), ("second", "/second")] {
        hello().route(path, "site").write_to(&folder.join(name));
    }
    symlink("first", folder.join("..data")).unwrap();
    std::fs::remove_file(folder.join("wasmgate.toml")).unwrap();
    symlink("..data/wasmgate.toml", folder.join("wasmgate.toml")).unwrap();
    gateway.signal(Signal::Hangup);
    until("the first configuration", async || {
        gateway.get("/first").await.status == 200
    })
    .await;
    symlink("second", folder.join("..next")).unwrap();
    std::fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
    gateway.signal(Signal::Hangup);
    until("the second configuration", async || {
        gateway.get("/second").await.status == 200
    })
    .await;
    gateway.get("/first").await.assert_error(404, "no-route");
}

#[tokio::test]
async fn a_reload_during_the_drain_is_refused_with_a_word() {
    let mut gateway = TestGateway::builder().guest("hangs").guest("hello").start();
    let mut connection = gateway.raw().await;
    connection
        .send("GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    gateway.wait_for_in_flight("hangs", 1).await;
    gateway.signal(Signal::Terminate);
    until("the drain", async || {
        gateway
            .admin_get("/readyz")
            .await
            .text()
            .contains("draining")
    })
    .await;
    let refused = reload(&gateway).await;
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("drains"), "{}", refused.text());
    gateway.signal(Signal::Hangup);
    until("the word for it", async || {
        gateway
            .log()
            .contains("nothing is reloaded by SIGHUP: the gateway drains")
    })
    .await;
    gateway.signal(Signal::Interrupt);
    gateway.ended().await;
}

#[tokio::test]
async fn a_page_in_a_browser_cannot_reload() {
    let gateway = hello().start();
    let request = http::Request::post("/reload")
        .header("host", gateway.admin.to_string())
        .header("origin", "http://evil.example")
        .header("content-type", "application/json");
    let reply = send_to(gateway.admin, request.body(empty()).unwrap()).await;
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn a_replaced_instance_has_the_drain_time_and_no_more() {
    let with = |guest| {
        TestGateway::builder()
            .server("drain_timeout = \"1s\"")
            .limits("timeout = \"10m\"")
            .guest_as("site", guest, "")
    };
    let gateway = with("hangs").start();
    let mut old = gateway.raw().await;
    old.send("GET /site HTTP/1.1\r\nhost: x\r\n\r\n").await;
    gateway.wait_for_in_flight("site", 1).await;
    change(&gateway, &with("hello")).await;
    assert_eq!(gateway.get("/site").await.status, 200);
    let answer = old.response().await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("x-wasmgate-error"), Some("package-replaced"));
    gateway.wait_for_in_flight("site", 0).await;
}

#[tokio::test]
async fn what_was_replaced_is_counted_as_long_as_a_request_uses_it() {
    let with = |guest| {
        TestGateway::builder()
            .limits("timeout = \"10m\"")
            .guest_as("site", guest, "")
    };
    let gateway = with("hangs").start();
    let mut old = gateway.raw().await;
    old.send("GET /site HTTP/1.1\r\nhost: x\r\n\r\n").await;
    gateway.wait_for_in_flight("site", 1).await;
    change(&gateway, &with("hello")).await;
    let in_use = async |kind: &str, count: u64| {
        gateway
            .wait_for_metric("wasmgate_replaced_in_use", &[("kind", kind)], count)
            .await;
    };
    in_use("package", 1).await;
    drop(old);
    in_use("package", 0).await;
    in_use("configuration", 0).await;
}

#[tokio::test]
async fn code_of_replaced_components_leaves_the_cache_but_for_the_last_three() {
    let cache = tempfile::tempdir().unwrap();
    let with = |guest| {
        TestGateway::builder()
            .cache(&cache.path().join("code"))
            .guest_as("site", guest, "")
    };
    let gateway = with("hello").start();
    let kept = || {
        let files = std::fs::read_dir(cache.path().join("code")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".cwasm")).count()
    };
    for guest in ["echo", "panics", "counter", "exits", "hangs"] {
        change(&gateway, &with(guest)).await;
    }
    until("what is kept", async || kept() == 4).await;
    // One that was there before is as good as new.
    change(&gateway, &with("hello")).await;
    assert_eq!(gateway.get("/site").await.status, 200);
    until("what is kept", async || kept() == 4).await;
}

#[tokio::test]
async fn permits_that_are_taken_count_after_a_reload() {
    let with = |concurrency: usize| {
        TestGateway::builder().limits("timeout = \"10m\"").guest_as(
            "site",
            "hangs",
            &format!("limits = {{ concurrency = {concurrency}, queue = 0 }}"),
        )
    };
    let gateway = with(2).start();
    let mut old = gateway.raw().await;
    old.send("GET /site HTTP/1.1\r\nhost: x\r\n\r\n").await;
    gateway.wait_for_in_flight("site", 1).await;
    change(&gateway, &with(1)).await;
    gateway.get("/site").await.assert_error(503, "overloaded");
}

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: NAME}\n\
                     spec: {type: state.sqlite, version: v1}\n";

#[tokio::test]
async fn grants_and_component_files_change() {
    let with = |state: &str, component: &str| {
        TestGateway::builder()
            .dapr("components = \"components\"")
            .file("components/store.yaml", &STORE.replace("NAME", component))
            .guest_as(
                "caller",
                "calls_dapr",
                &format!("dapr = {{ state = [{state:?}] }}"),
            )
    };
    let gateway = with("nothing", "first").start();
    let read = async |store: &str| {
        let path = format!("/v1.0/state/{store}/key");
        gateway
            .call("caller", "GET", &path, "")
            .await
            .status
            .as_u16()
    };
    assert_eq!(read("first").await, 403);
    change(&gateway, &with("*", "first")).await;
    assert_eq!(read("first").await, 204);
    change(&gateway, &with("*", "second")).await;
    assert_eq!((read("first").await, read("second").await), (400, 204));
    // A mistake in a component file is one of the configuration.
    with("*", "a/b").write_to(gateway.folder());
    assert_eq!(reload(&gateway).await.status, 422);
    assert_eq!(read("second").await, 204);
}

#[tokio::test]
async fn a_package_that_a_reload_brings_gets_its_events_and_its_paths_are_closed() {
    let first = || {
        let lines = "dapr = { publish = [\"pubsub/*\"], state = [\"*\"] }";
        TestGateway::builder().guest_as("caller", "calls_dapr", lines)
    };
    let second = || {
        first()
            .subscriber("reader", "takes_deliveries", "news")
            .route("/events", "reader")
    };
    let gateway = first().start();
    change(&gateway, &second()).await;
    let closed = gateway.post("/events", "{}").await;
    closed.assert_error(404, "no-route");
    let publish = async || {
        let published = gateway
            .call("caller", "POST", "/v1.0/publish/pubsub/news", "1")
            .await;
        assert_eq!(published.status, 204);
    };
    publish().await;
    let done = [("package", "reader"), ("kind", "event"), ("result", "done")];
    gateway
        .wait_for_metric("wasmgate_deliveries_total", &done, 1)
        .await;
    // Replaced by one that reads the same, and gone in the end.
    change(&gateway, &second().limits("timeout = \"20s\"")).await;
    publish().await;
    gateway
        .wait_for_metric("wasmgate_deliveries_total", &done, 2)
        .await;
    change(&gateway, &first()).await;
    let queues = gateway.admin_get("/queues").await.text();
    assert!(!queues.contains("\"news\""), "{queues}");
}

#[tokio::test]
async fn the_first_package_with_building_blocks_may_come_by_a_reload() {
    let gateway = hello().start();
    change(
        &gateway,
        &hello().guest_as("caller", "calls_dapr", "dapr = { state = [\"*\"] }"),
    )
    .await;
    let saved = gateway
        .call("caller", "GET", "/v1.0/state/statestore/key", "")
        .await;
    assert_eq!(saved.status, 204);
}

#[tokio::test]
async fn a_hundred_reloads_under_load_fail_no_request_and_leave_nothing_behind() {
    let odd = || hello().guest("echo").route("/other", "site");
    let even = || {
        TestGateway::builder()
            .guest_as("site", "reports_its_request", "env = { A = \"1\" }")
            .guest("hello")
    };
    let gateway = Arc::new(odd().start());
    let (stop, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (gateway, stop, asked) = (Arc::clone(&gateway), Arc::clone(&stop), Arc::clone(&asked));
            tokio::spawn(async move {
                let mut connection = gateway.raw().await;
                while !stop.load(Ordering::Relaxed) {
                    connection
                        .send("GET /site HTTP/1.1\r\nhost: x\r\n\r\n")
                        .await;
                    let answer = connection.response().await;
                    assert_eq!(answer.status(), 200, "{}", answer.body);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let swap = async |number: usize| {
        let next = if number.is_multiple_of(2) {
            even()
        } else {
            odd()
        };
        change(&gateway, &next).await;
        let before = asked.load(Ordering::Relaxed);
        until("requests by the new configuration", async || {
            asked.load(Ordering::Relaxed) > before
        })
        .await;
    };
    for number in 0_usize..20 {
        swap(number).await;
    }
    let (memory, open) = (gateway.resident_bytes(), descriptors(&gateway));
    for number in 20..120 {
        swap(number).await;
    }
    let grown = gateway.resident_bytes().saturating_sub(memory);
    assert!(
        grown < 24 << 20,
        "{grown} bytes more than after the first twenty"
    );
    until("the descriptors of before", async || {
        descriptors(&gateway) <= open + 4
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for one in load {
        one.await.unwrap();
    }
    gateway
        .wait_for_metric("wasmgate_packages", &[("state", "loaded")], 1)
        .await;
    gateway
        .wait_for_metric("wasmgate_replaced_in_use", &[], 0)
        .await;
}
