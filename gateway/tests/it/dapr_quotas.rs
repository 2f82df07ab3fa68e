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
    assert_eq!(metrics.find("wasmgate_dapr_waiting_writes", &[]), Some(0.0));
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
