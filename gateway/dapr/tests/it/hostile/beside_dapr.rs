//! The same calls beside a real Dapr: nothing of another package's is shown, changed or called by them.

use http::{Method, Request};
use serde_json::json;
use wasmgate_dapr::{Body, Globs, Grants};

use super::{CALLS, CANARY, own_grants};
use crate::harness::{Apps, Kind, World, answer};

/// Apps of which `other` subscribes to a topic that the attacker may not publish to, and takes jobs.
async fn world() -> Option<World> {
    if !wasmgate_real_dapr::there() {
        return None;
    }
    let apps = Apps::default();
    apps.set("other", |received| {
        match (&received.method, received.path.as_str()) {
            (&Method::GET, "/dapr/subscribe") => {
                let topics = ["other", "mine/../other", "mine%2F..%2Fother"];
                let list = topics.map(|topic| json!({"pubsubname": "pubsub", "topic": topic, "route": "/event"}));
                answer(200, json!(list))
            }
            _ => answer(200, ""),
        }
    });
    apps.set("menu", |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(404, ""),
        path => answer(200, path),
    });
    Some(World::with(Kind::BesideDapr, apps, |_| {}).await)
}

/// What `other` was sent besides questions.
fn calls_of_other(world: &World) -> usize {
    ["/event", "/x", "/job/x", "/job/j"]
        .iter()
        .map(|path| world.apps.count("other", path))
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_reaches_what_is_not_granted() {
    let Some(mut world) = world().await else {
        return;
    };
    let set = format!("SET other {CANARY}||1");
    world.real().redis.call(&set).await;
    let item = json!([{"key": "k", "value": CANARY}]).to_string();
    let save = Request::post("/v1.0/state/statestore").body(Body::from(item));
    let saved = world.relayed("other", &Grants::all(), save.unwrap()).await;
    assert_eq!(saved.status, 204);
    let mut wrong = Vec::new();
    for call in CALLS {
        let got = world.relayed("shop", &own_grants(), call.request()).await;
        if call.refused && got.status < 400 {
            wrong.push(format!("{call:?} is not refused: {got:?}"));
        }
        if String::from_utf8_lossy(&got.body).contains(CANARY) {
            wrong.push(format!("{call:?} shows what is another's: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The sidecar is there, and what is another's is as it was.
    assert_eq!(
        world.call("GET", "/v1.0/healthz/outbound", "").await.status,
        204
    );
    let path = "/v1.0/state/statestore/k";
    let kept = world.relayed_as("other", &Grants::all(), "GET", path).await;
    assert_eq!(kept.json(), CANARY);
    assert_eq!(calls_of_other(&world), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_of_the_gateway_itself_passes_for_no_event_and_no_job() {
    let Some(mut world) = world().await else {
        return;
    };
    let grants = Grants {
        invoke: Globs::new(["*"]).unwrap(),
        ..Grants::none()
    };
    let own = world.real().app_id.clone();
    for path in ["job/5-other-x", "wasmgate-events/pubsub/other", "event"] {
        for (name, value) in [
            ("content-type", "application/cloudevents+json"),
            ("content-type", "application/json"),
        ] {
            let uri = format!("/v1.0/invoke/{own}/method/{path}");
            let request = Request::post(uri).header(name, value);
            let body = json!({"id": "1", "source": "s", "pubsubname": "pubsub", "topic": "other", "data": 1});
            let request = request.body(Body::from(body.to_string())).unwrap();
            let got = world.relayed("shop", &grants, request).await;
            assert_eq!(got.status, 404, "{path}: {got:?}");
        }
    }
    assert_eq!(calls_of_other(&world), 0);
}
