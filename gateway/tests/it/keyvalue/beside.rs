//! Buckets of a sidecar's stores.

use super::*;

#[tokio::test]
async fn beside_a_sidecar_everything_goes_but_listing_which_is_an_error_in_words() {
    let place = Place::new();
    let address = place.at(SIDECAR);
    let _sidecar = sidecar(address).start();
    let gateway = beside(address)
        .guest_as(
            "keeper",
            "keeps_keys",
            r#"keyvalue = { default = "statestore" }"#,
        )
        .start();
    gateway.ready().await;
    versions::versions_scenario(&gateway, "default").await;
    for version in VERSIONS {
        let list = json!({"version": version, "bucket": "default", "do": "list"});
        let error = told(&gateway, list).await["error"].to_string();
        assert!(
            error.contains("cannot be listed beside a Dapr sidecar"),
            "{error}"
        );
    }
    // The gateway's own word for it, as the guest has it from the Dapr API.
    let labels = [
        ("package", "keeper"),
        ("operation", "list-keys"),
        ("result", "5xx"),
    ];
    gateway
        .wait_for_metric("wasmgate_block_calls_total", &labels, 2)
        .await;
}

#[tokio::test]
async fn without_its_sidecar_a_bucket_is_an_error_and_the_guest_goes_on() {
    let place = Place::new();
    let gateway = beside(place.at(SIDECAR))
        .guest_as(
            "keeper",
            "keeps_keys",
            r#"keyvalue = { default = "statestore" }"#,
        )
        .start();
    for what in ["get", "increment", "swap", "delete-many"] {
        let ask = json!({"bucket": "default", "do": what, "key": "k", "keys": ["k"], "delta": 1});
        let error = told(&gateway, ask).await["error"].to_string();
        assert!(error.contains("sidecar"), "{what}: {error}");
    }
}
