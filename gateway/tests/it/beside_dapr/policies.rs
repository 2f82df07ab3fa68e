//! A sidecar's policies, for calls that go by it and for those that stay in the gateway.

use wasmgate_real_dapr::{Daprd, Place, Resources};

use super::losses::{RESOURCES, beside};
use crate::harness::{TestGateway, run};

/// Three more tries of every invocation of the app.
const RETRIES: &str = "
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: thrice}
spec:
  policies:
    retries: {thrice: {policy: constant, duration: 10ms, maxRetries: 3}}
  targets:
    apps: {shop: {retry: thrice}}
";

/// A call of the package that is calling, which fails for want of anything to call in its turn.
const FAILS: &str = "/v1.0/invoke/shop/method/shop";

async fn instances(gateway: &TestGateway) -> f64 {
    let metrics = gateway.metrics().await;
    metrics.sum(
        "wasmgate_instantiation_seconds_count",
        &[("package", "shop")],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecars_policies_hold_for_what_goes_by_it_and_not_for_what_stays_in_the_gateway() {
    if !wasmgate_real_dapr::there() {
        return;
    }
    for (lines, calls) in [
        ("", 1.0),
        ("dedicated = \"shop\"\ninvoke_local = false", 4.0),
    ] {
        let place = Place::new();
        let resources = Resources::default().text(RESOURCES).text(RETRIES);
        let mut daprd = Daprd::new("shop", &resources).app(place.at(3001));
        let gateway = beside(&daprd, &place, lines)
            .guest_as("shop", "calls_dapr", r#"dapr = { invoke = ["shop"] }"#)
            .start();
        daprd.start().await;
        gateway.ready().await;
        daprd.ready().await;
        let before = instances(&gateway).await;
        let failed = gateway.call("shop", "GET", FAILS, "").await;
        assert!(!failed.status.is_success(), "{lines}: {}", failed.text());
        // Besides the one that calls.
        let called = instances(&gateway).await - before - 1.0;
        assert_eq!(called, calls, "{lines}: {}", failed.text());
    }
}

#[tokio::test]
async fn invocations_that_a_shared_sidecar_is_to_bring_are_noted() {
    let folder = tempfile::TempDir::new().unwrap();
    for (lines, is_noted) in [
        ("invoke_local = false", true),
        ("", false),
        ("invoke_local = false\ndedicated = \"shop\"", false),
    ] {
        let builder = TestGateway::builder()
            .dapr(&format!("mode = \"sidecar\"\n{lines}"))
            .guest_as("shop", "calls_dapr", r#"dapr = { invoke = ["shop"] }"#);
        builder.write_to(folder.path());
        let output = run(folder.path(), &["check"]);
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert_eq!(
            told.contains("finds none of them by its name"),
            is_noted,
            "{lines}: {told}"
        );
    }
}
