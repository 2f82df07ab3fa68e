//! What an operator does about events that nothing delivers any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use wasmgate_dapr::{
    AppChannel, AppId, Body, Dapr, DeliverFuture, DeliveryKind, DeliveryResult, Globs, Grants, ParkedFilter,
    ParkedState, Settings,
};

use crate::harness::{Apps, World, answer, app_id, eventually};

/// One try and no more, and no dead-letter topic but where a subscription names one.
pub(crate) const ONE_TRY: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: r}
spec:
  policies:
    retries: {none: {policy: constant, duration: 1ms, maxRetries: 0}}
  targets:
    components: {pubsub: {inbound: {retry: none}}}
";

/// `app` subscribes as `list` says and fails until `mended`.
fn fails(apps: &Apps, app: &str, list: Value, mended: &Arc<AtomicBool>) {
    let mended = mended.clone();
    apps.subscribe(app, list, move |_| match mended.load(Ordering::SeqCst) {
        true => answer(200, ""),
        false => answer(500, ""),
    });
}

async fn world() -> (World, Arc<AtomicBool>) {
    let (apps, mended) = (Apps::default(), Arc::new(AtomicBool::new(false)));
    let topics = |topics: &[&str]| -> Value {
        let list = topics
            .iter()
            .map(|topic| json!({"pubsubname": "pubsub", "topic": topic, "route": topic}));
        list.collect()
    };
    fails(&apps, "kitchen", topics(&["orders", "refunds"]), &mended);
    fails(&apps, "bar", topics(&["orders"]), &mended);
    let letters = json!([{"pubsubname": "pubsub", "topic": "letters", "route": "/letters",
        "deadLetterTopic": "nobody-reads"}]);
    fails(&apps, "post", letters, &mended);
    let world = World::with_components(apps, &[("all.yaml", ONE_TRY)]).await;
    for topic in ["orders", "refunds", "letters"] {
        let path = format!("/v1.0/publish/pubsub/{topic}?metadata.cloudevent.id=of-{topic}");
        assert_eq!(world.call("POST", &path, "1").await.status, 204);
    }
    eventually("everything is stuck", || async {
        stuck(&world, ParkedFilter::default()).await.len() == 4
    })
    .await;
    (world, mended)
}

/// Subscriber and topic of what is listed.
async fn stuck(world: &World, filter: ParkedFilter) -> Vec<(String, String)> {
    let listed = world.dapr().parked(filter, 100).await.unwrap();
    let mut names: Vec<_> = listed
        .into_iter()
        .map(|parked| (parked.package, parked.topic))
        .collect();
    names.sort();
    names
}

fn of(package: &str) -> ParkedFilter {
    ParkedFilter {
        package: Some(package.to_owned()),
        ..ParkedFilter::default()
    }
}

fn on(topic: &str) -> ParkedFilter {
    ParkedFilter {
        topic: Some(topic.to_owned()),
        ..ParkedFilter::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_events_are_listed_by_package_and_topic_with_what_they_are_called() {
    let (world, _) = world().await;
    let name = |package: &str, topic: &str| (package.to_owned(), topic.to_owned());
    assert_eq!(
        stuck(&world, of("kitchen")).await,
        [name("kitchen", "orders"), name("kitchen", "refunds")]
    );
    assert_eq!(
        stuck(&world, on("orders")).await,
        [name("bar", "orders"), name("kitchen", "orders")]
    );
    let refund = world.dapr().parked(on("refunds"), 100).await.unwrap();
    let refund = refund.first().unwrap();
    assert_eq!(refund.event_id.as_deref(), Some("of-refunds"));
    assert_eq!((refund.state, refund.attempts), (ParkedState::Parked, 1));
    assert!(refund.bytes > 0 && refund.published_ms > 0);
    let letter = world.dapr().parked(on("nobody-reads"), 100).await.unwrap();
    assert_eq!(letter.first().unwrap().state, ParkedState::Unclaimed);
    assert_eq!(world.dapr().parked(of(""), 100).await.unwrap(), letter);
    let first = world.dapr().parked(ParkedFilter::default(), 1).await;
    assert_eq!(first.unwrap().len(), 1, "no more than was asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn released_events_go_out_again_and_the_others_stay() {
    let (world, mended) = world().await;
    mended.store(true, Ordering::SeqCst);
    let released = world.dapr().release_parked(of("kitchen")).await.unwrap();
    assert_eq!(released, 2);
    world.apps.wait("kitchen", "/orders", 2).await;
    world.apps.wait("kitchen", "/refunds", 2).await;
    assert_eq!(world.apps.count("bar", "/orders"), 1);
    assert_eq!(stuck(&world, on("orders")).await.len(), 1);
    let all = ParkedFilter::default();
    assert_eq!(world.dapr().release_parked(all.clone()).await.unwrap(), 1);
    eventually("only the letter nobody reads is left", || async {
        stuck(&world, all.clone()).await == [(String::new(), "nobody-reads".to_owned())]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_events_are_gone_and_the_others_stay() {
    let (world, mended) = world().await;
    assert_eq!(world.dapr().drop_parked(of("nobody")).await.unwrap(), 0);
    let orders = ParkedFilter {
        package: Some("kitchen".to_owned()),
        pubsub: Some("pubsub".to_owned()),
        ..on("orders")
    };
    assert_eq!(world.dapr().drop_parked(orders).await.unwrap(), 1);
    let letter = world.dapr().parked(on("nobody-reads"), 1).await.unwrap();
    let letter = ParkedFilter {
        id: Some(letter.first().unwrap().id),
        ..ParkedFilter::default()
    };
    assert_eq!(world.dapr().drop_parked(letter).await.unwrap(), 1);
    mended.store(true, Ordering::SeqCst);
    let all = ParkedFilter::default();
    assert_eq!(world.dapr().release_parked(all).await.unwrap(), 2);
    world.apps.wait("kitchen", "/refunds", 2).await;
    world.apps.wait("bar", "/orders", 2).await;
    assert_eq!(world.apps.count("kitchen", "/orders"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_are_shown_before_anything_waits_and_with_the_age_of_what_waits() {
    let (world, _) = world().await;
    let queues = world.dapr().all_queues().await;
    let of = |app: &str, topic: &str| {
        let found = queues
            .iter()
            .find(|queue| queue.app_id == app && queue.topic == topic);
        found.unwrap_or_else(|| panic!("{app} {topic}: {queues:?}"))
    };
    let refunds = of("kitchen", "refunds");
    assert_eq!((refunds.waiting, refunds.parked), (0, 1));
    assert!(refunds.oldest_parked.is_some() && refunds.oldest_waiting.is_none());
    let letters = of("post", "letters");
    assert_eq!((letters.waiting, letters.parked), (0, 0));
    assert_eq!(
        (letters.oldest_waiting, letters.oldest_parked),
        (None, None)
    );
    assert!(of("", "nobody-reads").oldest_waiting.is_some());
}

/// Apps that are waited for no longer than this, and what is told of their deliveries.
struct Impatient {
    apps: Apps,
    told: std::sync::Mutex<Vec<(DeliveryKind, DeliveryResult)>>,
}

impl AppChannel for Impatient {
    fn deliver(&self, app: &AppId, request: http::Request<Body>) -> DeliverFuture {
        if request.uri().path().starts_with("/job/") {
            return Box::pin(std::future::pending());
        }
        self.apps.deliver(app, request)
    }

    fn patience(&self, _: &AppId) -> Duration {
        Duration::from_millis(20)
    }

    fn settled(&self, _: &AppId, kind: DeliveryKind, result: DeliveryResult) {
        self.told.lock().unwrap().push((kind, result));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_channel_says_how_long_an_answer_is_waited_for_and_is_told_what_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let dapr = Dapr::open(Settings {
        data,
        ..Settings::default()
    })
    .unwrap();
    let apps = Apps::default();
    apps.set("shop", |_| answer(404, ""));
    let channel = Arc::new(Impatient {
        apps,
        told: std::sync::Mutex::default(),
    });
    let shop = app_id("shop");
    dapr.start(channel.clone(), [(shop.clone(), Grants::all())])
        .await;
    let job = json!({"dueTime": "1ms", "failurePolicy": {"constant": {"interval": "0.001s", "maxRetries": 1}}});
    let request = http::Request::post("/v1.0-alpha1/jobs/j").body(Body::from(job.to_string()));
    let scheduled = dapr.call(&shop, &Grants::all(), request.unwrap()).await;
    assert_eq!(scheduled.status(), 204);
    eventually("the job is given up", || async {
        channel.told.lock().unwrap().len() == 2
    })
    .await;
    let told = channel.told.lock().unwrap().clone();
    let job = DeliveryKind::Job;
    assert_eq!(
        told,
        [(job, DeliveryResult::Retry), (job, DeliveryResult::Dropped)]
    );
    dapr.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_app_drops_becomes_no_event_where_it_may_not_publish() {
    let apps = Apps::default();
    let topic = |topic: &str| json!({"pubsubname": "pubsub", "topic": topic, "route": topic});
    let list = json!([topic("payments")]);
    apps.set("bank", move |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(200, &list),
        _ => answer(200, ""),
    });
    let world = World::with_components(apps, &[("all.yaml", ONE_TRY)]).await;
    let forging = |dead: &str| {
        let mut list = topic("mine");
        list["deadLetterTopic"] = json!(dead);
        let list = json!([list]);
        world
            .apps
            .set("forger", move |received| match received.path.as_str() {
                "/dapr/subscribe" => answer(200, &list),
                _ => answer(200, r#"{"status":"DROP"}"#),
            });
    };
    let grants = Grants {
        subscribe: Globs::new(["pubsub/mine"]).unwrap(),
        ..Grants::none()
    };
    forging("payments");
    world.dapr().refresh(app_id("forger"), grants.clone()).await;
    let publish = || world.call("POST", "/v1.0/publish/pubsub/mine", "1");
    assert_eq!(publish().await.status, 204);
    world.apps.wait("forger", "/mine", 1).await;
    // A topic that is its own by name takes what it drops: once that is there, the first would be too.
    forging("mine-dead");
    world.dapr().refresh(app_id("forger"), grants).await;
    assert_eq!(publish().await.status, 204);
    eventually("the second is a dead letter", || async {
        !stuck(&world, on("mine-dead")).await.is_empty()
    })
    .await;
    assert_eq!(world.apps.count("bank", "/payments"), 0);
}
