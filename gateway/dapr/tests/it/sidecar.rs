//! The client of a sidecar: fan-out, names, and starts.

mod grants;
mod strange;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use http::Request;
use serde_json::json;
use tokio::net::TcpListener;
use wasmgate_dapr::{
    Body, Globs, Grants,
    sidecar::{Callback, Sidecar, SidecarSettings, Topology},
};

use crate::harness::{Apps, Kind, World, add_components, answer, app_id, eventually, whole};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_packages_on_one_topic_both_get_the_event_and_only_the_failing_one_again() {
    let apps = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
    apps.subscribe("steady", list.clone(), |_| answer(200, ""));
    let tries = AtomicUsize::new(0);
    apps.subscribe("shaky", list, move |_| {
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => answer(500, ""),
            _ => answer(200, ""),
        }
    });
    let world = World::with(Kind::Relayed, apps, |_| {}).await;
    assert_eq!(
        world
            .call("POST", "/v1.0/publish/pubsub/t", "7")
            .await
            .status,
        204
    );
    let got = world.apps.wait("shaky", "/t", 3).await;
    assert_eq!(got[2].json()["data"], 7);
    assert_eq!(got[2].json()["source"], "shop");
    assert!(!got[0].headers.contains_key("dapr-api-token"));
    eventually("the queue is empty", || async {
        world.dapr().queues().await.is_empty()
    })
    .await;
    assert_eq!(world.apps.count("steady", "/t"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_before_the_packages_have_told_their_subscriptions_is_not_lost() {
    let apps = Apps::default();
    let telling = Arc::new(AtomicBool::new(false));
    let (tells, list) = (
        telling.clone(),
        json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]),
    );
    apps.set("app", move |received| {
        match (received.path.as_str(), tells.load(Ordering::SeqCst)) {
            ("/dapr/subscribe", false) => answer(500, ""),
            ("/dapr/subscribe", true) => answer(200, &list),
            _ => answer(200, ""),
        }
    });
    let settings = SidecarSettings::new("http://127.0.0.1:1".parse().unwrap());
    let channel = Arc::new(apps.clone());
    let sidecar = Sidecar::start(settings, channel, [(app_id("app"), Grants::all())]);
    let send = || async {
        let event = json!({"id": "1", "pubsubname": "pubsub", "topic": "t", "data": 7});
        let request = Request::post("/wasmgate-events/pubsub/t").body(event.to_string().into());
        match sidecar.callback(request.unwrap()).await {
            Callback::Answered(answer) => whole(answer).await.json()["status"].clone(),
            Callback::Invocation(request) => panic!("{request:?}"),
        }
    };
    assert_eq!(send().await, "RETRY");
    telling.store(true, Ordering::SeqCst);
    assert_eq!(send().await, "SUCCESS");
    assert_eq!(apps.count("app", "/t"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_never_tells_its_subscriptions_delays_no_event_of_others() {
    let apps = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
    apps.subscribe("steady", list, |_| answer(200, ""));
    apps.set("broken", |_| answer(500, ""));
    let may = |topic: &str| Grants {
        subscribe: Globs::new([format!("pubsub/{topic}")]).unwrap(),
        ..Grants::none()
    };
    let sidecar = Sidecar::start(
        SidecarSettings::new("http://127.0.0.1:1".parse().unwrap()),
        Arc::new(apps.clone()),
        [
            (app_id("steady"), may("t")),
            (app_id("broken"), may("other")),
        ],
    );
    let event = json!({"id": "1", "pubsubname": "pubsub", "topic": "t", "data": 7});
    let request = Request::post("/wasmgate-events/pubsub/t").body(event.to_string().into());
    let Callback::Answered(answer) = sidecar.callback(request.unwrap()).await else {
        panic!("an event is none of the sidecar's invocations");
    };
    assert_eq!(whole(answer).await.json()["status"], "SUCCESS");
    assert_eq!(apps.count("steady", "/t"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_package_has_its_own_dead_letter_topic() {
    let apps = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
    apps.subscribe("taker", list, |_| answer(200, ""));
    let list = json!([
        {"pubsubname": "pubsub", "topic": "t", "route": "/t", "deadLetterTopic": "dead"},
        {"pubsubname": "pubsub", "topic": "dead", "route": "/dead"},
    ]);
    apps.subscribe("dropper", list, |received| match received.path.as_str() {
        "/t" => answer(200, r#"{"status":"DROP"}"#),
        _ => answer(200, ""),
    });
    let world = World::with(Kind::Relayed, apps, |_| {}).await;
    world.call("POST", "/v1.0/publish/pubsub/t", "7").await;
    assert_eq!(
        world.apps.wait("dropper", "/dead", 1).await[0].json()["data"],
        7
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_fire_at_the_package_that_scheduled_them() {
    let apps = Apps::default();
    for app in ["shop", "other"] {
        apps.set(app, |received| match received.path.as_str() {
            "/dapr/subscribe" => answer(404, ""),
            _ => answer(200, ""),
        });
    }
    let world = World::with(Kind::Relayed, apps, |_| {}).await;
    let job = json!({"dueTime": "100ms", "data": 1}).to_string();
    assert_eq!(world.call("POST", "/v1.0/jobs/j-1", job).await.status, 204);
    assert_eq!(
        world.call("GET", "/v1.0/jobs/j-1", "").await.json()["name"],
        "j-1"
    );
    world.apps.wait("shop", "/job/j-1", 1).await;
    assert_eq!(world.apps.count("other", "/job/j-1"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_hosted_here_is_invoked_in_process() {
    let apps = Apps::default();
    apps.set("menu", |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(404, ""),
        _ => answer(200, "here"),
    });
    let world = World::with(Kind::Relayed, apps, |_| {}).await;
    let invoked = world.call("GET", "/v1.0/invoke/menu/method/x", "").await;
    assert_eq!(&invoked.body[..], b"here");
    // Another app is the sidecar's business.
    world
        .call("GET", "/v1.0/invoke/nobody/method/x", "")
        .await
        .fails(500, "ERR_DIRECT_INVOKE");
}

async fn get(sidecar: &Sidecar, path: &str) -> http::Response<Body> {
    let request = Request::get(path).body(Body::empty()).unwrap();
    sidecar.call(&app_id("shop"), &Grants::all(), request).await
}

#[tokio::test]
async fn callbacks_without_the_token_are_refused_and_others_are_routed() {
    let apps = Apps::default();
    apps.set("only", |received| match received.path.as_str() {
        "/dapr/subscribe" | "/nothing" => answer(404, ""),
        _ => answer(200, "taken"),
    });
    let settings = SidecarSettings {
        app_token: Some("app".to_owned()),
        topology: Topology::Dedicated(app_id("only")),
        ..SidecarSettings::new("http://127.0.0.1:1".parse().unwrap())
    };
    let sidecar = Sidecar::start(
        settings,
        Arc::new(apps.clone()),
        [(app_id("only"), Grants::all())],
    );
    let ask = |method: &'static str, path: &'static str, token: &'static str, caller: &'static str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("dapr-api-token", token);
        let request = match caller {
            "" => request,
            caller => request.header("dapr-caller-app-id", caller),
        };
        let sidecar = sidecar.clone();
        async move {
            match sidecar
                .callback(request.body(Body::from("{}")).unwrap())
                .await
            {
                Callback::Answered(answer) => whole(answer).await,
                Callback::Invocation(request) => panic!("{request:?}"),
            }
        }
    };
    assert_eq!(ask("GET", "/dapr/subscribe", "wrong", "").await.status, 401);
    assert_eq!(ask("GET", "/healthz", "", "").await.status, 200);
    assert_eq!(
        ask("GET", "/dapr/subscribe", "app", "").await.json(),
        json!([])
    );
    assert_eq!(ask("POST", "/job/j", "app", "").await.status, 200);
    assert_eq!(ask("OPTIONS", "/bound", "app", "").await.status, 200);
    assert_eq!(ask("POST", "/bound", "app", "").await.status, 200);
    assert_eq!(ask("POST", "/nothing", "app", "").await.status, 404);
    assert_eq!(
        &ask("GET", "/any/path", "app", "caller").await.body[..],
        b"taken"
    );
    assert_eq!(apps.count("only", "/job/j"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_subscriptions_only_the_sidecar_knows_reach_the_package_with_the_route() {
    let apps = Apps::default();
    for (app, route) in [("a", "/a/orders"), ("b", "/b/orders")] {
        apps.set(app, move |received| match received.path.as_str() {
            path if path == route => answer(200, ""),
            _ => answer(404, ""),
        });
    }
    let subscription = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: s}
spec: {pubsubname: pubsub, topic: t, routes: {default: /b/orders}}
";
    let world = World::with(Kind::Relayed, apps, |settings| {
        add_components(settings, &[("all.yaml", subscription)]);
    })
    .await;
    world.call("POST", "/v1.0/publish/pubsub/t", "7").await;
    assert_eq!(
        world.apps.wait("b", "/b/orders", 1).await[0].json()["data"],
        7
    );
    eventually("it is settled", || async {
        world.dapr().queues().await.is_empty()
    })
    .await;
}

/// What a sidecar that has yet to subscribe was asked, and whether it has.
#[derive(Default)]
struct Late {
    metadata: AtomicUsize,
    published: AtomicUsize,
    subscribed: AtomicBool,
}

async fn late() -> (Arc<Late>, Sidecar, tokio::task::JoinHandle<()>) {
    let late = Arc::new(Late::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let peer = late.clone();
    let router = axum::Router::new().fallback(move |request: Request<Body>| {
        let peer = peer.clone();
        async move {
            let path = request.uri().path();
            if path == "/v1.0/metadata" {
                peer.metadata.fetch_add(1, Ordering::SeqCst);
            }
            if path.starts_with("/v1.0/publish") {
                peer.published.fetch_add(1, Ordering::SeqCst);
            }
            let listed = match peer.subscribed.load(Ordering::SeqCst) {
                true => json!([{"pubsubname": "p", "topic": "t", "rules": [{"path": "/x"}]}]),
                false => json!([]),
            };
            answer(200, json!({ "subscriptions": listed }))
        }
    });
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let apps = Apps::default();
    let list = json!([{"pubsubname": "p", "topic": "t", "route": "/t"}]);
    apps.subscribe("a", list, |_| answer(200, ""));
    let settings = SidecarSettings::new(endpoint.parse().unwrap());
    let sidecar = Sidecar::start(settings, Arc::new(apps), [(app_id("a"), Grants::all())]);
    (late, sidecar, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_and_events_wait_until_the_sidecar_has_subscribed_and_a_lost_one_is_a_detail() {
    let (late, sidecar, server) = late().await;
    eventually("it is asked what it subscribed to", || async {
        late.metadata.load(Ordering::SeqCst) > 0
    })
    .await;
    let state = sidecar.state();
    assert!(!state.ready && state.reachable, "{state:?}");
    assert!(state.detail.unwrap().contains("has not subscribed"));

    let publisher = sidecar.clone();
    let publishing = tokio::spawn(async move {
        let request = Request::post("/v1.0/publish/p/t")
            .body(Body::from("1"))
            .unwrap();
        publisher
            .call(&app_id("a"), &Grants::all(), request)
            .await
            .status()
    });
    let starting = tokio::spawn({
        let sidecar = sidecar.clone();
        async move { sidecar.settled().await }
    });
    let asked = late.metadata.load(Ordering::SeqCst);
    eventually("it is asked again and again", || async {
        late.metadata.load(Ordering::SeqCst) > asked + 5
    })
    .await;
    assert!(!publishing.is_finished() && !starting.is_finished());
    assert_eq!(late.published.load(Ordering::SeqCst), 0);
    // A topic that nobody here subscribes to need not wait.
    let other = Request::post("/v1.0/publish/p/other")
        .body(Body::from("1"))
        .unwrap();
    let sent = sidecar.call(&app_id("a"), &Grants::all(), other).await;
    assert_eq!(
        (sent.status(), late.published.load(Ordering::SeqCst)),
        (http::StatusCode::OK, 1)
    );

    late.subscribed.store(true, Ordering::SeqCst);
    assert_eq!(publishing.await.unwrap(), 200);
    starting.await.unwrap();
    assert_eq!(late.published.load(Ordering::SeqCst), 2);
    let state = sidecar.state();
    assert!(state.ready && state.detail.is_none(), "{state:?}");

    server.abort();
    let _ended = server.await;
    eventually("it is seen to be gone", || async {
        // A kept connection may still answer until it is closed.
        let state = sidecar.state();
        state.ready && !state.reachable && state.detail.is_some()
            || get(&sidecar, "/v1.0/healthz").await.status() == 200
    })
    .await;
    assert!(sidecar.state().ready);
}
