//! Resiliency scenarios: circuit breakers, time-outs and retries of every target.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::Method;
use serde_json::{Value, json};
use wasmgate_dapr::{Dapr, Grants, ParkedFilter, Settings};

use crate::harness::{Apps, Kind, World, add_components, answer, app_id, eventually};

/// `targets` under policies that open after two failures in a row and try again after 300 ms.
fn policies(targets: &str) -> String {
    format!(
        "
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {{name: r}}
spec:
  policies:
    timeouts: {{short: 50ms}}
    retries:
      never: {{policy: constant, duration: 1ms, maxRetries: 0}}
      twice: {{policy: constant, duration: 1ms, maxRetries: 2, matching: {{httpStatusCodes: '503,520-530'}}}}
    circuitBreakers:
      soon: {{maxRequests: 1, timeout: 300ms, trip: consecutiveFailures >= 2}}
  targets: {targets}
"
    )
}

fn component(name: &str, kind: &str, metadata: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\n\
         spec: {{type: {kind}, version: v1, metadata: [{metadata}]}}\n"
    )
}

/// An app that answers 500 until it is mended.
fn fails(apps: &Apps, app: &str, subscriptions: Value) -> Arc<AtomicBool> {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = mended.clone();
    apps.set(app, move |received| {
        match (&received.method, received.path.as_str()) {
            (&Method::GET, "/dapr/subscribe") => answer(200, &subscriptions),
            _ if is_mended.load(Ordering::SeqCst) => answer(200, ""),
            (_, "/busy") => answer(503, ""),
            _ => answer(500, "broken"),
        }
    });
    mended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_fails_is_left_alone_until_it_is_mended() {
    let apps = Apps::default();
    let mended = fails(&apps, "menu", json!([]));
    let policy = policies("{apps: {menu: {circuitBreaker: soon}}}");
    let world = World::with_components(apps, &[("r.yaml", &policy)]).await;
    let tea = "/v1.0/invoke/menu/method/tea";
    for _ in 0..2 {
        let own = world.call("GET", tea, "").await;
        assert_eq!((own.status, &own.body[..]), (500, &b"broken"[..]));
    }
    let open = world.call("GET", tea, "").await;
    let told = open.json()["message"].clone();
    open.fails(500, "ERR_DIRECT_INVOKE");
    assert_eq!(
        told,
        "failed to invoke, id: menu, err: circuit breaker is open"
    );
    assert_eq!(world.apps.count("menu", "/tea"), 2);
    let counted = |state| {
        let circuits = world.dapr().circuits();
        let key = (app_id("shop"), "soon".to_owned(), state);
        circuits.get(&key).copied()
    };
    assert_eq!((counted("open"), counted("closed")), (Some(1), None));
    // Other paths, and other apps on the same one, have circuits of their own.
    assert_eq!(
        world
            .call("GET", "/v1.0/invoke/menu/method/cake", "")
            .await
            .body,
        "broken"
    );
    let other = world.call_as("other", &Grants::all(), "GET", tea, "").await;
    assert_eq!(other.body, "broken");
    mended.store(true, Ordering::SeqCst);
    eventually("the circuit closes", || async {
        world.call("GET", tea, "").await.status == 200
    })
    .await;
    assert_eq!(counted("open"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_asked_again_after_the_statuses_that_the_policy_lists() {
    let apps = Apps::default();
    fails(&apps, "menu", json!([]));
    let policy = policies("{apps: {menu: {retry: twice}}}");
    let world = World::with_components(apps, &[("r.yaml", &policy)]).await;
    for (path, status, tries) in [("/busy", 503, 3), ("/tea", 500, 1)] {
        let seen = world
            .call("POST", &format!("/v1.0/invoke/menu/method{path}"), "body")
            .await;
        assert_eq!(
            (seen.status, world.apps.count("menu", path)),
            (status, tries),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_fails_is_left_alone_and_the_answer_says_so() {
    // Nobody listens on port 1.
    let binding = component(
        "far",
        "bindings.http",
        "{name: url, value: 'http://127.0.0.1:1'}",
    );
    let policy = policies("{components: {far: {outbound: {circuitBreaker: soon, retry: never}}}}");
    let files = [("b.yaml", binding.as_str()), ("r.yaml", policy.as_str())];
    let world = World::with_components(Apps::default(), &files).await;
    far_is_left_alone(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_dapr_a_component_that_fails_is_left_alone_with_the_same_words() {
    if !wasmgate_real_dapr::there() {
        return;
    }
    let world = World::with(Kind::BesideDapr, Apps::default(), |_| {}).await;
    far_is_left_alone(&world).await;
}

/// The third call of a component that nobody can reach does not go out.
async fn far_is_left_alone(world: &World) {
    let mut messages = Vec::new();
    for _ in 0..3 {
        let seen = world
            .call("POST", "/v1.0/bindings/far", r#"{"operation":"get"}"#)
            .await;
        messages.push(seen.json()["message"].to_string());
        seen.fails(500, "ERR_INVOKE_OUTPUT_BINDING");
    }
    let open = "error invoking output binding far: circuit breaker is open";
    let opened: Vec<_> = messages.iter().map(|told| told.contains(open)).collect();
    assert_eq!(opened, [false, false, true], "{messages:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_has_its_policy_too_and_the_callers_mistakes_do_not_count() {
    let store = component("statestore", "state.sqlite", "");
    let policy = policies("{components: {statestore: {outbound: {circuitBreaker: soon, timeout: short}}}}");
    let files = [("s.yaml", store.as_str()), ("r.yaml", policy.as_str())];
    let world = World::with_components(Apps::default(), &files).await;
    for _ in 0..3 {
        let seen = world
            .call("POST", "/v1.0/state/statestore", "no JSON")
            .await;
        assert_eq!(seen.status, 400);
    }
    let saved = world
        .call(
            "POST",
            "/v1.0/state/statestore",
            r#"[{"key":"k","value":1}]"#,
        )
        .await;
    assert_eq!(saved.status, 204);
    assert_eq!(
        world.call("GET", "/v1.0/state/statestore/k", "").await.body,
        "1"
    );
    // A transaction whose ETag does not match is a failure of the store, as beside a sidecar.
    let stale = r#"{"operations":[{"operation":"upsert","request":{"key":"k","value":2,"etag":"999"}}]}"#;
    for _ in 0..2 {
        let seen = world
            .call("POST", "/v1.0/state/statestore/transaction", stale)
            .await;
        seen.fails(500, "ERR_STATE_TRANSACTION");
    }
    let open = world.call("GET", "/v1.0/state/statestore/k", "").await;
    let told = open.json()["message"].clone();
    open.fails(500, "ERR_STATE_GET");
    assert_eq!(
        told,
        "fail to get k from state store statestore: circuit breaker is open"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_wait_while_the_circuit_to_their_subscriber_is_open() {
    let apps = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
    let mended = fails(&apps, "app", list);
    let pubsub = component("pubsub", "pubsub.in-memory", "");
    let policy = policies("{components: {pubsub: {inbound: {circuitBreaker: soon}}}}");
    let files = [("p.yaml", pubsub.as_str()), ("r.yaml", policy.as_str())];
    let world = World::with_components(apps, &files).await;
    for n in 0..20 {
        let sent = world
            .call("POST", "/v1.0/publish/pubsub/t", n.to_string())
            .await;
        assert_eq!(sent.status, 204);
    }
    world.apps.wait("app", "/t", 2).await;
    mended.store(true, Ordering::SeqCst);
    eventually("every event is taken", || async {
        world.dapr().queues().await.is_empty()
    })
    .await;
    let parked = world.dapr().parked(ParkedFilter::default(), 10).await;
    assert!(parked.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_that_are_not_named_have_the_policies_by_default() {
    let apps = Apps::default();
    fails(&apps, "menu", json!([]));
    let policy = policies("{}").replace("soon:", "DefaultAppCircuitBreakerPolicy:");
    let world = World::with_components(apps, &[("r.yaml", &policy)]).await;
    for _ in 0..3 {
        world.call("GET", "/v1.0/invoke/menu/method/tea", "").await;
    }
    assert_eq!(world.apps.count("menu", "/tea"), 2);
}

#[test]
fn mistakes_in_policies_are_told_with_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let policy = policies("{apps: {menu: {circuitBreaker: none}}}")
        .replace("consecutiveFailures >= 2", "'consecutiveFailures >='")
        .replace("503,520-530", "600");
    let mut settings = Settings {
        data: folder.path().join("data"),
        ..Settings::default()
    };
    add_components(&mut settings, &[("r.yaml", &policy)]);
    let told = Dapr::check(&settings).unwrap_err().to_string();
    for key in [
        "spec.policies.circuitBreakers.soon.trip",
        "spec.policies.retries.twice",
        "spec.targets.apps.menu",
    ] {
        assert!(told.contains(key), "{key}: {told}");
    }
}
