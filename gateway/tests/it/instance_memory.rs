//! What a guest makes the host hold counts as its memory.

use futures_util::future::join_all;

use crate::harness::{TestGateway, until};

const LIMITS: &str = "limits = { memory = \"32MiB\", timeout = \"60s\" }";

fn tormented() -> TestGateway {
    TestGateway::builder()
        .guest_with("torments", LIMITS)
        .guest("hello")
        .start()
}

#[tokio::test]
async fn fields_requests_bodies_and_timers_count_against_the_memory_of_their_instance() {
    let gateway = tormented();
    for torment in [
        "fields&n=200000&bytes=1024",
        "empty-fields&n=200000",
        "clones&n=20000",
        "requests&n=100000",
        "responses&n=100000",
        "bodies&n=1000",
        "timers&n=200000",
    ] {
        let reply = gateway.get(&format!("/torments?do={torment}")).await;
        assert_eq!(reply.status, 502, "{torment}: {}", reply.text());
        reply.assert_error(502, "memory-limit");
        assert_eq!(gateway.get("/hello").await.status, 200);
    }
    gateway.wait_for_words("`limits.memory` is 33554432").await;
}

#[tokio::test]
async fn as_much_of_it_as_a_request_needs_is_no_harm() {
    let gateway = tormented();
    for torment in [
        "fields&n=1000&bytes=1024",
        "empty-fields&n=5000",
        "requests&n=1000",
        "bodies&n=10",
        "timers&n=5000",
    ] {
        let reply = gateway.get(&format!("/torments?do={torment}")).await;
        assert_eq!(reply.status, 200, "{torment}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_package_that_fills_the_memory_of_all_is_refused_and_its_neighbour_is_served() {
    let gateway = TestGateway::builder()
        .server("memory = \"512MiB\"")
        .guest_with(
            "torments",
            "limits = { memory = \"128MiB\", timeout = \"20s\" }",
        )
        .guest("hello")
        .start();
    let attacks = (0..16).map(|_| gateway.get("/torments?do=memory&n=60"));
    let attacks = async {
        let replies = join_all(attacks).await;
        replies.iter().filter(|reply| reply.status == 503).count()
    };
    let neighbour = async {
        until("the package has most of its share", || async {
            let metrics = gateway.metrics().await;
            metrics.sum("wasmgate_memory_bytes", &[("state", "reserved")]) > f64::from(300 << 20)
        })
        .await;
        for _ in 0..20 {
            assert_eq!(gateway.get("/hello").await.status, 200);
        }
    };
    let (refused, ()) = tokio::join!(attacks, neighbour);
    assert!(refused >= 8, "{refused}");
    let metrics = gateway.metrics().await;
    assert_eq!(
        metrics.sum("wasmgate_memory_bytes", &[("state", "limit")]),
        f64::from(512 << 20)
    );
}

#[tokio::test]
async fn no_instance_begins_while_the_process_is_too_large() {
    let gateway = TestGateway::builder()
        .server("memory = \"64MiB\"")
        .guest_with("torments", "limits = { timeout = \"15s\" }")
        .guest("hello")
        .start();
    assert_eq!(gateway.get("/hello").await.status, 200);
    // Each has little, and all together too much.
    let attacks = join_all((0..40).map(|_| gateway.get("/torments?do=memory&n=1")));
    let neighbour = async {
        until("new instances are refused", || async {
            gateway.get("/hello").await.status == 503
        })
        .await;
    };
    tokio::join!(attacks, neighbour);
    let labels = [("package", "hello"), ("reason", "server-memory")];
    let metrics = gateway.metrics().await;
    assert!(metrics.sum("wasmgate_refusals_total", &labels) > 0.0);
    until("there is memory again", || async {
        gateway.get("/hello").await.status == 200
    })
    .await;
}

/// The names of a process's threads.
fn threads(pid: u32) -> Vec<String> {
    let all = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    all.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

#[tokio::test]
async fn what_a_large_instance_leaves_is_dropped_by_threads_for_that_and_counts_until_it_is_gone() {
    let gateway = TestGateway::builder()
        .guest_with(
            "torments",
            "limits = { memory = \"64MiB\", timeout = \"60s\", concurrency = 2, queue_timeout = \"60s\" }",
        )
        .guest("hello")
        .start();
    let has = |name: &str| threads(gateway.pid()).iter().any(|thread| thread == name);
    assert_eq!(gateway.get("/hello").await.status, 200);
    assert!(!has("ends") && !has("pool-reset"));
    for _ in 0..4 {
        // They hold all that they have when they are ended.
        let all = (0..4).map(|_| gateway.get("/torments?do=fields&n=200000&bytes=1024"));
        for reply in join_all(all).await {
            reply.assert_error(502, "memory-limit");
        }
    }
    assert!(has("ends"), "{:?}", threads(gateway.pid()));
    for _ in 0..4 {
        let all = (0..4).map(|_| gateway.get("/torments?do=fill-once&n=40000000"));
        for reply in join_all(all).await {
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    assert!(has("pool-reset"), "{:?}", threads(gateway.pid()));
    gateway.wait_for_in_flight("torments", 0).await;
    until("all is given back", || async {
        let metrics = gateway.metrics().await;
        let reserved = metrics.sum("wasmgate_memory_bytes", &[("state", "reserved")]);
        let live = metrics.sum("wasmgate_pool_slots", &[("state", "live")]);
        reserved + live == 0.0
    })
    .await;
}
