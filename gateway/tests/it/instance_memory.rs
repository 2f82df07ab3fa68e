//! What a guest makes the host hold counts as its memory.

use crate::harness::TestGateway;

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
        "fields&n=200000",
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
    let log = gateway.log();
    assert!(log.contains("`limits.memory` is 33554432"), "{log}");
}

#[tokio::test]
async fn as_much_of_it_as_a_request_needs_is_no_harm() {
    let gateway = tormented();
    for torment in [
        "fields&n=1000",
        "empty-fields&n=5000",
        "requests&n=1000",
        "bodies&n=10",
        "timers&n=5000",
    ] {
        let reply = gateway.get(&format!("/torments?do={torment}")).await;
        assert_eq!(reply.status, 200, "{torment}: {}", reply.text());
    }
}
