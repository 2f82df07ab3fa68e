//! What a package gets when the sidecar is gone, or does not know yet what it should; and that others notice nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wasmgate_real_dapr::{Daprd, Place, Resources};

use crate::harness::{Builder, TestGateway, empty, full, send_to, until};

pub(super) const RESOURCES: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.in-memory, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
";

/// A call that needs the sidecar.
const LOOK: &str = "/v1.0/state/statestore/k";

/// An answer of a plain package is late after this long, on a machine however busy: far below what waiting for a
/// sidecar would take.
const LATE: Duration = Duration::from_secs(15);

fn sidecar(app: &str, place: &Place) -> Daprd {
    Daprd::new(app, &Resources::default().text(RESOURCES)).app(place.at(3001))
}

pub(super) fn beside(daprd: &Daprd, place: &Place, lines: &str) -> Builder {
    TestGateway::builder().dapr(&format!(
        "mode = \"sidecar\"\nsidecar = \"http://{}\"\nlisten = \"{}\"\n{lines}",
        daprd.http(),
        place.at(3001)
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_sidecar_costs_those_who_need_it_a_503_and_nobody_else_anything() {
    if !wasmgate_real_dapr::there() {
        return;
    }
    let place = Place::new();
    let mut daprd = sidecar("losses", &place);
    let gateway = beside(&daprd, &place, "")
        .guest("hello")
        .guest_as(
            "shop",
            "calls_dapr",
            r#"dapr = { state = ["statestore", "carts"], secrets = ["*"] }"#,
        )
        .start();
    daprd.start().await;
    gateway.ready().await;
    let told = "a grant opens nothing: the sidecar has no such component";
    gateway
        .wait_for_event(&[("message", told), ("grant", "carts"), ("key", "state")])
        .await;
    assert_eq!(gateway.log().matches(told).count(), 1, "{}", gateway.log());
    gateway.call("shop", "GET", LOOK, "").await.is(204);

    let over = Arc::new(AtomicBool::new(false));
    let (address, until_then) = (gateway.address, Arc::clone(&over));
    let plain = tokio::spawn(async move {
        let (mut answers, mut slowest) = (0_u32, Duration::ZERO);
        while !until_then.load(Ordering::Relaxed) {
            let start = Instant::now();
            let request = http::Request::get("/hello")
                .header("host", "x")
                .body(empty());
            let reply = send_to(address, request.unwrap()).await;
            assert_eq!(
                (reply.status.as_u16(), reply.text().as_str()),
                (200, "Hello from a package\n")
            );
            slowest = slowest.max(start.elapsed());
            answers += 1;
        }
        (answers, slowest)
    });
    for _ in 0..3 {
        daprd.kill();
        for _ in 0..20 {
            let refused = gateway.call("shop", "GET", LOOK, "").await;
            refused.fails(503, "ERR_SIDECAR_UNAVAILABLE");
            assert!(refused.header("retry-after").is_some());
        }
        let ready = gateway.admin_get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        daprd.start().await;
        until("a call that works again", || async {
            gateway.call("shop", "GET", LOOK, "").await.status == 204
        })
        .await;
    }
    over.store(true, Ordering::Relaxed);
    let (answers, slowest) = plain.await.unwrap();
    println!("{answers} plain answers through three ends of the sidecar, the slowest in {slowest:.0?}");
    assert!(answers > 0 && slowest < LATE, "{answers}, {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_invokes_itself_without_end_is_stopped_beside_a_sidecar_too() {
    if !wasmgate_real_dapr::there() {
        return;
    }
    for (lines, goes_by) in [
        ("", "the gateway itself"),
        (
            "dedicated = \"torments\"\ninvoke_local = false",
            "the sidecar",
        ),
    ] {
        let place = Place::new();
        let mut daprd = sidecar("torments", &place);
        let gateway = beside(&daprd, &place, lines)
            .guest_with("torments", r#"dapr = { invoke = ["torments"] }"#)
            .start();
        daprd.start().await;
        gateway.ready().await;
        daprd.ready().await;
        // Each of them answers with the status that it got.
        let reply = gateway.get("/torments?do=invoke-itself&n=0").await;
        assert_eq!(
            reply.status,
            508,
            "by {goes_by}: {}\n{}",
            reply.text(),
            gateway.log()
        );
        gateway.wait_for_in_flight("torments", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_a_reload_brings_is_named_and_comes_once_the_sidecar_is_started_again() {
    if !wasmgate_real_dapr::there() {
        return;
    }
    let place = Place::new();
    let mut daprd = sidecar("losses", &place);
    let shop = r#"dapr = { publish = ["pubsub/*"] }"#;
    // A taker keeps what it gets under names of its own.
    let gateway = |topic: &str| {
        beside(&daprd, &place, "")
            .guest_as("shop", "calls_dapr", shop)
            .subscriber("taker", "takes_deliveries", topic)
    };
    let (before, after) = (gateway("orders"), gateway("late"));
    let gateway = before.start();
    daprd.start().await;
    gateway.ready().await;
    let reload = async || -> Value {
        let request = http::Request::post("/reload")
            .header("host", "localhost")
            .header("content-type", "application/json");
        send_to(gateway.admin, request.body(full("{}")).unwrap())
            .await
            .is(200)
            .json()
    };
    assert_eq!(reload().await["needs_restart"], json!([]));
    after.write_to(gateway.folder());
    assert_eq!(reload().await["needs_restart"], json!(["pubsub/late"]));
    daprd.kill();
    daprd.start().await;
    daprd.ready().await;
    gateway.ready().await;
    let path = "/v1.0/publish/pubsub/late?metadata.cloudevent.id=one";
    gateway.call("shop", "POST", path, "1").await.is(204);
    gateway.delivery("taker", "one").await;
    assert_eq!(reload().await["needs_restart"], json!([]));
}
