//! The bounds on requests that guests have under way to others.

use crate::harness::{Scripted, TestGateway};

async fn silent() -> Scripted {
    Scripted::start(|mut peer, _| async move { peer.gone().await }).await
}

#[tokio::test]
async fn an_instance_has_no_more_requests_under_way_than_its_package_allows() {
    let upstream = silent().await;
    let lines = format!(
        "outbound = [\"{}\"]\nlimits = {{ outbound_per_instance = 3 }}",
        upstream.origin()
    );
    let gateway = TestGateway::builder()
        .guest_with("calls_many", &lines)
        .start();
    let target = format!("/calls-many?to={}/&n=10&hold=300", upstream.origin());
    for _ in 0..2 {
        let told = gateway.get(&target).await.text();
        let expected = r#"{"ErrorCode::ConnectionLimitReached": 7, "pending": 3}"#;
        assert_eq!(told, expected);
    }
    // The second instance had its own, and what the first one left is given back.
    gateway
        .wait_for_metric(
            "wasmgate_refusals_total",
            &[("reason", "outbound-limit")],
            14,
        )
        .await;
}

#[tokio::test]
async fn the_instances_of_a_package_share_a_limit_that_others_do_not_feel() {
    let upstream = silent().await;
    let lines = |limit: usize| {
        format!(
            "outbound = [\"{}\"]\nlimits = {{ outbound_concurrency = {limit} }}",
            upstream.origin()
        )
    };
    let gateway = TestGateway::builder()
        .guest_as("greedy", "calls_many", &lines(5))
        .guest_as("neighbour", "calls_many", &lines(100))
        .start();
    let greedy = format!("/greedy?to={}/&n=5&hold=10000", upstream.origin());
    let more = format!("/greedy?to={}/&n=1&hold=10", upstream.origin());
    let other = format!("/neighbour?to={}/&n=1&hold=10", upstream.origin());
    let holding = gateway.get(&greedy);
    let others = async {
        crate::harness::until("the greedy one has all its connections", || async {
            upstream.connections() >= 5
        })
        .await;
        let refused = gateway.get(&more).await.text();
        assert_eq!(refused, r#"{"ErrorCode::ConnectionLimitReached": 1}"#);
        let neighbour = gateway.get(&other).await.text();
        assert_eq!(neighbour, r#"{"pending": 1}"#);
    };
    let (held, ()) = tokio::join!(holding, others);
    assert_eq!(held.text(), r#"{"pending": 5}"#);
    crate::harness::until("what it held is free again", || async {
        gateway.get(&more).await.text() == r#"{"pending": 1}"#
    })
    .await;
}
