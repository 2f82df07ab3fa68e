//! One trace from a request through the building blocks to whoever they call.

use crate::{
    dapr_blocks::SUBSCRIBES,
    harness::{TestGateway, full},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn gateway() -> TestGateway {
    TestGateway::builder()
        .guest("reports_its_request")
        .guest_as(
            "shop",
            "calls_dapr",
            r#"dapr = { publish = ["pubsub/*"], invoke = ["*"] }"#,
        )
        .guest_as("taker", "takes_deliveries", SUBSCRIBES)
        .start()
}

/// A request of the trace to the package that calls the API, which itself says nothing of a trace.
async fn traced(gateway: &TestGateway, call: &str) -> String {
    let request = gateway
        .request("POST", "/shop")
        .header("x-call", call)
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
    gateway.send(request.body(full("x")).unwrap()).await.text()
}

#[tokio::test]
async fn an_event_carries_the_trace_of_the_request_that_published_it() {
    let gateway = gateway();
    gateway.ready().await;
    traced(
        &gateway,
        "/v1.0/publish/pubsub/orders?metadata.cloudevent.id=e",
    )
    .await;
    let kept = gateway.delivery("taker", "e").await;
    let header = kept["headers"]["traceparent"].as_str().unwrap();
    assert!(header.contains(TRACE), "{kept}");
    let event: serde_json::Value = serde_json::from_str(kept["body"].as_str().unwrap()).unwrap();
    assert!(
        event["traceparent"].as_str().unwrap().contains(TRACE),
        "{event}"
    );
}

#[tokio::test]
async fn an_invocation_carries_the_trace_of_the_request_that_made_it() {
    let report = traced(&gateway(), "/v1.0/invoke/reports-its-request/method/x").await;
    assert!(
        report.contains(&format!("header traceparent: 00-{TRACE}-")),
        "{report}"
    );
}
