//! Events from the sidecar: delivered to each subscribing package, with one response for all.

use axum::body::{Body, Bytes};
use futures_util::future::join_all;
use http::{Method, Response, header::CONTENT_TYPE, request::Parts};
use serde_json::{Value, json};
use wasmgate_common::path::lenient;

use super::{
    batches,
    delivery::{collect, json_answer, publish_dead_letter, send},
    outcomes::{count, event_id, joint_status, remember},
    subscriptions,
};
use crate::{
    app::AppId,
    event::{CLOUD_EVENTS, media_type},
    json,
    pubsub::outcome::{Outcome, outcome},
    sidecar::{fanout::Target, listed::Listed, settings::Topology, shared::Shared},
};

/// Delivers an event of the joint subscriptions, which name pub/sub and topic in its path.
pub(super) async fn joined(shared: &Shared, parts: &Parts, body: Body, pubsub: &str, topic: &str) -> Response<Body> {
    let known = subscriptions::are_known(shared, pubsub, topic);
    let (Ok(body), true) = (collect(body).await, known.await) else {
        return again();
    };
    if !is_event(parts)
        && let Some(answer) = batches::joined(shared, parts, &body, (pubsub, topic)).await
    {
        return answer;
    }
    let event = json::from_slice(&body).unwrap_or_default();
    let targets = shared.fan_out.load().targets(pubsub, topic, &event);
    deliver(shared, parts, &event, &body, (pubsub, topic), targets).await
}

/// Returns whether a request is an event, whatever its path.
pub(super) fn is_event(parts: &Parts) -> bool {
    let kind = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| media_type(kind) == CLOUD_EVENTS)
}

/// Delivers an event of a subscription that only the sidecar knows, from a Subscription resource: the operator's word,
/// which needs no grant. Its path is one of a package: of the only one, of one that subscribes to the topic itself, or
/// of whichever has such a route, among those that are granted the topic if there are any.
///
/// Its topic is the sidecar's word: an event's own could be anything that its publisher wrote.
pub(super) async fn declared(shared: &Shared, parts: &Parts, body: Body) -> Response<Body> {
    let Ok(body) = collect(body).await else {
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
    if !subscriptions::are_known(shared, &pubsub, &topic).await {
        return again();
    }
    let mut targets = match &shared.settings.topology {
        Topology::Dedicated(app) => vec![(app.clone(), Ok(path.to_owned()))],
        Topology::Shared => shared.fan_out.load().targets(&pubsub, &topic, &event),
    };
    if targets.is_empty() {
        let mut apps = shared.granted_apps();
        let is_granted = |app: &AppId| shared.grants_subscription(app, &pubsub, &topic);
        if apps.iter().any(is_granted) {
            apps.retain(is_granted);
        }
        let to_path = |app| (app, Ok(path.to_owned()));
        targets = apps.into_iter().map(to_path).collect();
    }
    deliver(shared, parts, &event, &body, (&pubsub, &topic), targets).await
}

/// Returns pub/sub and topic of the subscription that leads to `path`: the one that the event names, if it is one of
/// them.
async fn topic_of(shared: &Shared, path: &str, event: &Value) -> Option<(String, String)> {
    let text = |name| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let named = (text("pubsubname").to_owned(), text("topic").to_owned());
    let listed = shared.listed.recent(&shared.client).await?;
    let leads_here = |listed: &Listed| {
        let mut rules = listed.rules.iter();
        rules.any(|rule| lenient(&rule.path) == lenient(path))
    };
    let mut topics = listed.iter().filter(|listed| leads_here(listed));
    let first = topics.next()?;
    let same = |listed: &Listed| listed.pubsubname == named.0 && listed.topic == named.1;
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
    let id = event_id(pubsub, topic, event);
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
            let fan_out = shared.fan_out.load_full();
            if let Some(dead_letter) = fan_out.own_dead_letter(&app, pubsub, topic) {
                outcome = publish_dead_letter(shared, pubsub, dead_letter, body.clone()).await;
            }
        }
        count(shared, &app, &outcome);
        (app, outcome)
    });
    let outcomes = join_all(turns).await;
    let status = joint_status(&outcomes);
    if let Some(id) = &id {
        remember(shared, id, status, outcomes);
    }
    json_answer(&json!({"status": status}))
}

/// Asks for an event again that broke off on its way, or of which nobody knows yet whose it is.
fn again() -> Response<Body> {
    json_answer(&json!({"status": "RETRY"}))
}
