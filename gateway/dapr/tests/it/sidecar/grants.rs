//! What packages may have of a sidecar that they share.

use std::sync::Arc;

use http::Request;
use serde_json::json;
use tokio::net::TcpListener;
use wasmgate_dapr::{
    Body, Globs, Grants,
    sidecar::{Callback, Sidecar, SidecarSettings},
};

use crate::harness::{Apps, Kind, World, answer, app_id, whole};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_show_only_what_is_granted() {
    let world = World::with(Kind::Relayed, Apps::default(), |settings| {
        settings
            .environment
            .insert("HIDDEN".to_owned(), "x".to_owned());
    })
    .await;
    let grants = Grants {
        secrets: Globs::new(["secretstore/GREETING"]).unwrap(),
        ..Grants::none()
    };
    let seen = world
        .relayed_as("shop", &grants, "GET", "/v1.0/secrets/secretstore/bulk")
        .await;
    assert_eq!(seen.json(), json!({"GREETING": {"GREETING": "hello"}}));
    let denied = world
        .relayed_as("shop", &grants, "GET", "/v1.0/state/statestore/k")
        .await;
    assert_eq!(
        (denied.status, denied.json()["grant"].as_str()),
        (403, Some(r#"state = ["statestore"]"#))
    );
}

#[tokio::test]
async fn a_package_may_neither_subscribe_nor_send_dead_letters_where_it_has_no_grant() {
    let apps = Apps::default();
    let list = json!([
        {"pubsubname": "p", "topic": "mine", "route": "/m", "deadLetterTopic": "others"},
        {"pubsubname": "p", "topic": "others", "route": "/o"},
    ]);
    apps.subscribe("a", list, |_| answer(200, ""));
    let grants = Grants {
        subscribe: Globs::new(["p/mine"]).unwrap(),
        ..Grants::none()
    };
    let grants = Grants {
        jobs: true,
        ..grants
    };
    let settings = SidecarSettings::new("http://127.0.0.1:1".parse().unwrap());
    let sidecar = Sidecar::start(settings, Arc::new(apps), [(app_id("a"), grants)]);
    let request = Request::get("/dapr/subscribe").body(Body::empty()).unwrap();
    let Callback::Answered(told) = sidecar.callback(request).await else {
        panic!("not answered")
    };
    let told = whole(told).await.json();
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(
        (&told[0]["topic"], told[0].get("deadLetterTopic")),
        (&json!("mine"), None)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_declares_needs_no_grant_and_what_a_package_asks_for_itself_does() {
    let apps = Apps::default();
    let list = json!([{"pubsubname": "p", "topic": "own", "route": "/own"}]);
    for app in ["absent", "empty", "other", "no-table"] {
        apps.subscribe(app, list.clone(), |_| answer(200, ""));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(|| async {
        let listed = [("t", "/x"), ("granted", "/y"), ("own", "/own")]
            .map(|(topic, path)| json!({"pubsubname": "p", "topic": topic, "rules": [{"path": path}]}));
        answer(200, json!({ "subscriptions": listed }))
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let grants = |text| serde_json::from_str::<Grants>(text).unwrap();
    let named = [
        (app_id("absent"), grants("{}")),
        (app_id("empty"), grants(r#"{"subscribe":[]}"#)),
        (app_id("other"), grants(r#"{"subscribe":["p/granted"]}"#)),
        (app_id("no-table"), Grants::none()),
    ];
    let settings = SidecarSettings::new(endpoint.parse().unwrap());
    let sidecar = Sidecar::start(settings, Arc::new(apps.clone()), named);
    let call = |request: http::request::Builder, body: String| {
        let request = request.body(Body::from(body)).unwrap();
        async {
            match sidecar.callback(request).await {
                Callback::Answered(answer) => whole(answer).await,
                Callback::Invocation(request) => panic!("{request:?}"),
            }
        }
    };
    let asked = call(Request::get("/dapr/subscribe"), String::new()).await;
    assert_eq!(asked.json(), json!([]));

    let send = |path: &'static str, topic: &'static str| {
        let event = json!({"id": topic, "source": "s", "pubsubname": "p", "topic": topic});
        let request = Request::post(path).header("content-type", "application/cloudevents+json");
        call(request, event.to_string())
    };
    let counts = |path: &str| ["absent", "empty", "other", "no-table"].map(|app| apps.count(app, path));
    assert_eq!(send("/x", "t").await.json()["status"], "SUCCESS");
    assert_eq!(counts("/x"), [1, 1, 1, 0]);
    assert_eq!(send("/y", "granted").await.json()["status"], "SUCCESS");
    assert_eq!(counts("/y"), [0, 0, 1, 0]);

    call(Request::options("/tick"), String::new()).await;
    assert_eq!(counts("/tick"), [1, 1, 1, 0], "asked for an input binding");
}
