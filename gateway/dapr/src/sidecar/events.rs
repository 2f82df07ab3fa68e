//! Events from the sidecar: to each package that wants them, and one answer for all.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::future::join_all;
use http::{Method, Request, Response, header::CONTENT_TYPE, request::Parts};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    Shared, Topology, batches,
    callbacks::{json_answer, send, whole},
    fanout::{Target, joint_status},
    health,
};
use crate::{
    app::{AppId, DeliveryKind, DeliveryResult},
    event::{CLOUD_EVENTS, media_type},
    internal::plain,
    json,
    pubsub::deliver::{Outcome, outcome},
};

/// How long an event waits until the packages that may want it have told their subscriptions. Shorter than what a sidecar may give one
/// try of a delivery, such as the 5 s of the shipped overlay.
const SUBSCRIPTIONS_PATIENCE: Duration = Duration::from_secs(3);

/// An event of the joint subscriptions, which name pub/sub and topic in its path.
pub(super) async fn joined(shared: &Shared, parts: &Parts, body: Body, pubsub: &str, topic: &str) -> Response<Body> {
    let known = shared.knows_subscribers(pubsub, topic);
    let (Ok(body), true) = (whole(body).await, known.await) else {
        return again();
    };
    if !is_event(parts)
        && let Some(answer) = batches::joined(shared, parts, &body, (pubsub, topic)).await
    {
        return answer;
    }
    let event = json::from_slice(&body).unwrap_or_default();
    let targets = shared.fan_out.read().targets(pubsub, topic, &event);
    deliver(shared, parts, &event, &body, (pubsub, topic), targets).await
}

/// Whether a request is an event, whatever its path.
pub(super) fn is_event(parts: &Parts) -> bool {
    let kind = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| media_type(kind) == CLOUD_EVENTS)
}

/// An event of a subscription that only the sidecar knows, from a Subscription resource: the operator's word, which needs no
/// grant. Its path is one of a package: of the only one, of one that subscribes to the topic itself, or of whichever has such
/// a route, among those that are granted the topic if there are any.
///
/// What topic it is of is the sidecar's word: an event's own could be anything that its publisher wrote.
pub(super) async fn declared(shared: &Shared, parts: &Parts, body: Body) -> Response<Body> {
    let Ok(body) = whole(body).await else {
        return again();
    };
    let event = json::from_slice(&body).unwrap_or_default();
    let path = parts.uri.path();
    let Some((pubsub, topic)) = topic_of(shared, path, &event).await else {
        tracing::warn!(
            path,
            "an event came for no subscription that the sidecar lists"
        );
        return again();
    };
    if !shared.knows_subscribers(&pubsub, &topic).await {
        return again();
    }
    let mut targets = match &shared.settings.topology {
        Topology::Dedicated(app) => vec![(app.clone(), Ok(path.to_owned()))],
        Topology::Shared => shared.fan_out.read().targets(&pubsub, &topic, &event),
    };
    if targets.is_empty() {
        let mut apps: Vec<&AppId> = shared.granted_apps().collect();
        let is_granted = |app: &&AppId| shared.grants_subscription(app, &pubsub, &topic);
        if apps.iter().any(is_granted) {
            apps.retain(is_granted);
        }
        let to_path = |app: &AppId| (app.clone(), Ok(path.to_owned()));
        targets = apps.into_iter().map(to_path).collect();
    }
    deliver(shared, parts, &event, &body, (&pubsub, &topic), targets).await
}

/// Pub/sub and topic of the subscription that leads to `path`: the one that the event names, if it is one of them.
async fn topic_of(shared: &Shared, path: &str, event: &Value) -> Option<(String, String)> {
    let text = |name| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let named = (text("pubsubname").to_owned(), text("topic").to_owned());
    let listed = health::listed(shared).await?;
    let leads_here = |listed: &health::Listed| {
        let mut rules = listed.rules.iter();
        rules.any(|rule| plain(&rule.path) == plain(path))
    };
    let mut topics = listed.iter().filter(|listed| leads_here(listed));
    let first = topics.next()?;
    let same = |listed: &health::Listed| listed.pubsubname == named.0 && listed.topic == named.1;
    if same(first) || topics.any(same) {
        return Some(named);
    }
    Some((first.pubsubname.clone(), first.topic.clone()))
}

async fn deliver(
    shared: &Shared,
    parts: &Parts,
    event: &Value,
    body: &Bytes,
    (pubsub, topic): (&str, &str),
    mut targets: Vec<(AppId, Target)>,
) -> Response<Body> {
    let id = id(pubsub, topic, event);
    if let Some(id) = &id {
        let delivered = shared.delivered.lock();
        targets.retain(|(app, _)| !delivered.has(id, app));
    }
    let turns = targets.into_iter().map(|(app, target)| async move {
        let mut outcome = match target {
            Err(reason) => {
                tracing::error!(app_id = %app, pubsub, topic, reason, "an event was dropped");
                Outcome::Drop(reason)
            }
            Ok(path) => {
                let headers = &parts.headers;
                let sent = send(shared, &app, Method::POST, &path, headers, body.clone());
                match sent.await {
                    Ok((status, answer)) => outcome(status, &answer),
                    Err(reason) => Outcome::Unreachable(reason),
                }
            }
        };
        if let Outcome::Drop(_) = outcome {
            let fan_out = shared.fan_out.read().clone();
            if let Some(dead_letter) = fan_out.own_dead_letter(&app, pubsub, topic) {
                outcome = shared
                    .publish_dead_letter(pubsub, dead_letter, body.clone())
                    .await;
            }
        }
        count(shared, &app, &outcome);
        (app, outcome)
    });
    let outcomes = join_all(turns).await;
    let status = joint_status(&outcomes);
    if let Some(id) = &id {
        shared.settle(id, status, outcomes);
    }
    json_answer(&json!({"status": status}))
}

/// What an event is known by when it comes again: within its topic, source and id are one event's alone (CloudEvents 1.0).
pub(super) fn id(pubsub: &str, topic: &str, event: &Value) -> Option<String> {
    let text = |name| event.get(name).and_then(Value::as_str);
    let source = text("source").unwrap_or_default();
    text("id").map(|id| format!("{pubsub}/{topic}/{source}/{id}"))
}

/// Tells what became of an event at one app.
pub(super) fn count(shared: &Shared, app: &AppId, outcome: &Outcome) {
    let result = match outcome {
        Outcome::Done => DeliveryResult::Done,
        Outcome::Retry(_) => DeliveryResult::Retry,
        Outcome::Drop(_) | Outcome::Park(_) => DeliveryResult::Dropped,
        Outcome::Expired => DeliveryResult::Expired,
        Outcome::Unreachable(_) => DeliveryResult::Unreachable,
    };
    shared.channel.settled(app, DeliveryKind::Event, result);
}

/// Whether an app is to get its event again.
pub(super) fn is_again(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry(_) | Outcome::Unreachable(_))
}

/// The event broke off on its way, or nobody knows yet whose it is: the sidecar is to send it again.
fn again() -> Response<Body> {
    json_answer(&json!({"status": "RETRY"}))
}

impl Shared {
    /// Whether every package that may subscribe to a topic has told its subscriptions. A sidecar that has subscribed
    /// already sends events to a gateway that has just started: taken before, they would be nobody's, and gone.
    async fn knows_subscribers(&self, pubsub: &str, topic: &str) -> bool {
        let apps = self.granted_apps();
        let may: Vec<_> = apps
            .filter(|app| self.grants_subscription(app, pubsub, topic))
            .collect();
        let mut told = self.told.subscribe();
        let all = told.wait_for(|told| may.iter().all(|app| told.contains_key(*app)));
        timeout(SUBSCRIPTIONS_PATIENCE, all)
            .await
            .is_ok_and(|known| known.is_ok())
    }

    fn grants_subscription(&self, app: &AppId, pubsub: &str, topic: &str) -> bool {
        let grants = self.apps.get(app);
        grants.is_some_and(|grants| grants.allows_subscribe(pubsub, topic))
    }

    pub(super) async fn publish_dead_letter(&self, pubsub: &str, topic: &str, event: Bytes) -> Outcome {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let path = format!("/v1.0/publish/{}/{}", encode(pubsub), encode(topic));
        let request = Request::post(path)
            .header(CONTENT_TYPE, CLOUD_EVENTS)
            .body(Body::from(event));
        let Ok(request) = request else {
            return Outcome::Done;
        };
        match self.send(request).await {
            Ok(response) if response.status().is_success() => Outcome::Done,
            Ok(response) => Outcome::Retry(format!("the dead-letter topic: {}", response.status())),
            Err(error) => Outcome::Retry(error.message().to_owned()),
        }
    }
}
