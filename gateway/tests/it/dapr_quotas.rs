//! Quotas of what outlives a request: in the TOML, at the guest, in the SDK and in the metrics.

use crate::harness::{TestGateway, until};

const STATE: &str = "/v1.0/state/statestore";

fn save(key: &str, bytes: usize) -> String {
    serde_json::json!([{"key": key, "value": "x".repeat(bytes)}]).to_string()
}

#[tokio::test]
async fn a_package_keeps_what_its_quotas_say_over_a_restart_and_the_metrics_show_it() {
    let builder = TestGateway::builder()
        .dapr("quotas = { state = \"4KiB\" }")
        .guest_as("small", "calls_dapr", "dapr = { state = [\"statestore\"] }")
        .guest_as(
            "large",
            "calls_dapr",
            "dapr = { state = [\"statestore\"], quotas = { state = \"8KiB\", state_items = 2 } }",
        );
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = builder.start_in(folder.path());
    gateway.ready().await;
    let call = async |gateway: &TestGateway, package: &str, key: &str, bytes: usize| {
        gateway.call(package, "POST", STATE, save(key, bytes)).await
    };
    call(&gateway, "small", "a", 3000).await.is(204);
    call(&gateway, "large", "a", 7000).await.is(204);
    gateway.kill();
    gateway.ended().await;
    let gateway = builder.start_in(folder.path());
    gateway.ready().await;
    let refused = call(&gateway, "small", "b", 3000).await;
    refused.fails(507, "ERR_QUOTA_EXCEEDED");
    let message = refused.json()["message"].to_string();
    assert!(message.contains("state = 4096"), "{message}");
    call(&gateway, "large", "b", 10).await.is(204);
    let refused = call(&gateway, "large", "c", 10).await;
    refused.fails(507, "ERR_QUOTA_EXCEEDED");
    let metrics = gateway.metrics().await;
    let of = |name: &str, app: &str, quota: &str| metrics.find(name, &[("app_id", app), ("quota", quota)]);
    assert_eq!(
        of("wasmgate_dapr_quota_limit", "small", "state"),
        Some(4096.0)
    );
    assert_eq!(
        of("wasmgate_dapr_quota_used", "large", "state_items"),
        Some(2.0)
    );
    assert_eq!(
        of("wasmgate_dapr_quota_limit", "large", "state_items"),
        Some(2.0)
    );
    let used = of("wasmgate_dapr_quota_used", "small", "state").unwrap();
    assert!((3000.0..4096.0).contains(&used), "{used}");
    for (app, quota) in [("small", "state"), ("large", "state_items")] {
        assert_eq!(
            of("wasmgate_dapr_quota_refusals_total", app, quota),
            Some(1.0),
            "{app}"
        );
    }
    // The building blocks write something of their own now and then.
    until("no write that waits", || async {
        gateway
            .metrics()
            .await
            .find("wasmgate_dapr_waiting_writes", &[])
            == Some(0.0)
    })
    .await;
}

#[tokio::test]
async fn the_sdk_shows_a_used_up_quota_as_an_error_with_its_remedy() {
    let gateway = TestGateway::builder()
        .guest_as(
            "prices",
            "guards_a_price",
            "dapr = { state = [\"statestore\"], quotas = { state_items = 0 } }",
        )
        .start();
    gateway.ready().await;
    let refused = gateway.post("/prices", "5").await;
    assert_eq!(refused.status, 502, "{}", refused.text());
    until("the log has the SDK's words", || async {
        let log = gateway.log();
        log.contains("Dapr answered 507") && log.contains("state_items = 0")
    })
    .await;
}

/// As much of `item` as a call takes: nearly 4 MiB.
fn list_of(item: &str) -> String {
    let items = vec![item; (4 << 20) / (item.len() + 1) - 8];
    format!("[{}]", items.join(","))
}

#[tokio::test]
async fn bodies_of_many_small_things_take_little_more_memory_than_their_bytes() {
    let gateway = TestGateway::builder()
        .limits("concurrency = 64\nmemory = \"64MiB\"\ntimeout = \"60s\"")
        .guest_as(
            "shop",
            "calls_dapr",
            "dapr = { state = [\"statestore\"], publish = [\"pubsub/*\"], lock = [\"lockstore\"], jobs = true, bindings = [\"*\"] }",
        )
        .start();
    gateway.ready().await;
    let empties = list_of("{}");
    let wrapped = |name: &str| format!("{{\"{name}\":{}}}", list_of("[]"));
    let metadata: String = (0..200_000).map(|n| format!("\"{n}\":\"\",")).collect();
    let bodies = [
        ("/v1.0/publish/bulk/pubsub/t", empties.clone()),
        ("/v1.0/state/statestore", empties.clone()),
        ("/v1.0/state/statestore", list_of("{\"key\":\"\"}")),
        (
            "/v1.0/state/statestore/bulk",
            format!("{{\"keys\":{}}}", list_of("\"\"")),
        ),
        (
            "/v1.0/state/statestore/transaction",
            format!("{{\"operations\":{empties}}}"),
        ),
        ("/v1.0-alpha1/state/statestore/query", wrapped("sort")),
        (
            "/v1.0-alpha1/state/statestore/query",
            format!("{{\"filter\":{{\"EQ\":{}}}}}", list_of("1")),
        ),
        (
            "/v1.0/bindings/none",
            format!("{{\"metadata\":{{{metadata}\"x\":\"\"}}}}"),
        ),
        ("/v1.0-alpha1/lock/lockstore", wrapped("other")),
        ("/v1.0/metadata/x", empties.clone()),
    ];
    // The guests and the bodies themselves take that much, whatever is in them.
    let calls = (0..24).map(|_| gateway.call("shop", "POST", "/v1.0/jobs/x", list_of("x")));
    futures_util::future::join_all(calls).await;
    let before = gateway.status("VmHWM");
    for (path, body) in bodies {
        let calls = (0..24).map(|_| gateway.call("shop", "POST", path, body.clone()));
        let answers = futures_util::future::join_all(calls).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        let mut codes = statuses.iter();
        assert!(
            codes.all(|status| (400..=500).contains(&status.as_u16())),
            "{path} {statuses:?}"
        );
    }
    let grown = gateway.status("VmHWM") - before;
    assert!(
        grown < 200 << 10,
        "{grown} KiB more than the bodies themselves"
    );
}
