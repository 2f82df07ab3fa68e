//! The process beside the gateway, which calls at the listener and takes events and jobs.

use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use wasmgate_dapr::{AppChannel, Grants, OutsideApp, Settings};
use wasmgate_real_dapr::Place;

use crate::harness::{Apps, Kind, World, answer, app_id, eventually, start};

/// A package beside it.
fn package() -> Apps {
    let apps = Apps::default();
    apps.subscribe("shop", json!([]), |_| answer(200, ""));
    apps
}

/// A process that listens somewhere and tells what it is called with.
async fn process(apps: &Apps) -> http::uri::Authority {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    serve(listener, apps);
    address
}

fn serve(listener: TcpListener, apps: &Apps) {
    let router = router(apps);
    tokio::spawn(async move { axum::serve(listener, router).await });
}

fn router(apps: &Apps) -> axum::Router {
    let apps = apps.clone();
    axum::Router::new().fallback(move |request| {
        let apps = apps.clone();
        async move { apps.deliver(&app_id("process"), request).await.unwrap() }
    })
}

fn outside(address: http::uri::Authority) -> Option<OutsideApp> {
    Some(OutsideApp {
        app: app_id("process"),
        address,
        token: Some("app".parse().unwrap()),
    })
}

async fn call_as_process(world: &World, method: &str, path: &str, body: &str) -> u16 {
    let body = body.to_owned();
    world
        .call_as("process", &Grants::all(), method, path, body)
        .await
        .status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_and_events_reach_a_process_beside_the_gateway_even_if_it_comes_late() {
    let outer = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
    outer.set("process", move |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(200, &list),
        _ => answer(200, ""),
    });
    // Nobody listens there yet; the start does not wait for it.
    let place = Place::new();
    let address = place.at(3000);
    let world = World::with(Kind::InProcess, package(), |settings| {
        settings.outside = outside(address.to_string().parse().unwrap());
    })
    .await;
    let job = r#"{"dueTime":"0s","data":7}"#;
    assert_eq!(
        call_as_process(&world, "POST", "/v1.0/jobs/late.1", job).await,
        204
    );
    serve(TcpListener::bind(address).await.unwrap(), &outer);
    let fired = outer.wait("process", "/job/late.1", 1).await.remove(0);
    assert_eq!(
        (fired.body.as_ref(), &fired.headers["dapr-api-token"]),
        (&b"7"[..], &"app".parse().unwrap())
    );
    outer.wait("process", "/dapr/subscribe", 1).await;
    eventually("an event comes", || async {
        call_as_process(&world, "POST", "/v1.0/publish/pubsub/t", "1").await;
        outer.count("process", "/t") > 0
    })
    .await;
    // Packages invoke it like any app.
    assert_eq!(
        world
            .call("GET", "/v1.0/invoke/process/method/hello", "")
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_beside_the_gateway_has_its_subscriptions_from_the_first_moment_of_the_next_start() {
    let outer = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
    outer.set("process", move |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(200, &list),
        _ => answer(200, ""),
    });
    let address = process(&outer).await;
    let world = World::with(Kind::InProcess, package(), |settings| {
        settings.outside = outside(address.clone());
    })
    .await;
    eventually("it is subscribed", || async {
        call_as_process(&world, "POST", "/v1.0/publish/pubsub/t", "1").await;
        outer.count("process", "/t") > 0
    })
    .await;
    eventually("nothing waits", || async {
        let queues = world.dapr().queues().await;
        queues.iter().all(|queue| queue.waiting == 0)
    })
    .await;
    world.dapr().stop().await;
    let World {
        dapr, folder, apps, ..
    } = world;
    drop(dapr);
    let settings = Settings {
        data: folder.path().join("data"),
        outside: outside("127.0.0.1:9".parse().unwrap()),
        ..Settings::default()
    };
    // The process is not there, and the event waits for it.
    let dapr = start(settings, &apps).await;
    let request = http::Request::post("/v1.0/publish/pubsub/t")
        .body(wasmgate_dapr::Body::from("2"))
        .unwrap();
    assert_eq!(
        dapr.call(&app_id("shop"), &Grants::all(), request)
            .await
            .status(),
        204
    );
    let queues = dapr.queues().await;
    assert!(
        queues
            .iter()
            .any(|queue| queue.app_id == "process" && queue.waiting == 1),
        "{queues:?}"
    );
    dapr.stop().await;
}

/// Serves until the first of what it answers is sent to; the second is its end.
fn serve_for_a_while(listener: TcpListener, apps: &Apps) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let router = router(apps);
    let (end, ended) = oneshot::channel();
    let serving = tokio::spawn(async move {
        let server = axum::serve(listener, router).with_graceful_shutdown(async { drop(ended.await) });
        server.await.unwrap();
    });
    (end, serving)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_started_anew_takes_what_it_subscribes_to_now() {
    let outer = Apps::default();
    let subscribe = |topic: &str| {
        let list = json!([{"pubsubname": "pubsub", "topic": topic, "route": "/took"}]);
        outer.subscribe("process", list, |_| answer(200, ""));
    };
    let place = Place::new();
    let address = place.at(3000);
    let world = World::with(Kind::InProcess, package(), |settings| {
        settings.outside = outside(address.to_string().parse().unwrap());
    })
    .await;
    for (starts, topic) in ["before", "after"].into_iter().enumerate() {
        subscribe(topic);
        let listener = TcpListener::bind(address).await.unwrap();
        let (end, serving) = serve_for_a_while(listener, &outer);
        outer.wait("process", "/dapr/subscribe", starts + 1).await;
        let taken = outer.count("process", "/took");
        eventually("an event comes", || async {
            call_as_process(
                &world,
                "POST",
                &format!("/v1.0/publish/pubsub/{topic}"),
                "1",
            )
            .await;
            outer.count("process", "/took") > taken
        })
        .await;
        end.send(()).unwrap();
        serving.await.unwrap();
    }
    world.dapr().stop().await;
}
