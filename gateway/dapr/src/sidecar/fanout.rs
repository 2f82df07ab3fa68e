//! One subscription at the sidecar per topic, whose events are fanned out to packages.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use wasmgate_common::path::{encode_component, with_leading_slash};

use crate::{
    app::AppId,
    grants::Grants,
    internal::path_of,
    subscription::{Spec, Subscription},
};

/// The path below which the sidecar sends events: `{pubsub}/{topic}` of it.
pub(super) const EVENTS: &str = "/wasmgate-events";

/// An answer to `GET /dapr/subscribe` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("app {app}: {reason}")]
pub(super) struct SubscriptionError {
    /// The app.
    pub(super) app: AppId,
    /// The topic, if one is meant: `{pubsub}/{topic}`.
    pub(super) topic: String,
    /// The mistake, and what to write instead.
    pub(super) reason: String,
}

/// The path at which an app takes an event; an error is for the log, and that app's dead letters.
pub(super) type Target = Result<String, String>;

/// The subscriptions of all packages behind one sidecar. Data only: it calls nobody.
#[derive(Debug, Default)]
pub(super) struct FanOut {
    topics: BTreeMap<(String, String), Vec<Subscription>>,
    /// The rest of what apps asked for, such as bulk: the first app's word counts.
    metadata: BTreeMap<(String, String), Map<String, Value>>,
}

impl FanOut {
    /// Joins what each app answered on `GET /dapr/subscribe` (an empty body means nothing).
    /// Entries that cannot be used are told and left out.
    pub(super) fn new<'a>(answers: impl IntoIterator<Item = (&'a AppId, &'a [u8])>) -> (Self, Vec<SubscriptionError>) {
        let (mut joined, mut errors) = (Self::default(), Vec::new());
        for (app, answer) in answers {
            let mut wrong = |topic: String, reason: String| {
                errors.push(SubscriptionError {
                    app: app.clone(),
                    topic,
                    reason,
                })
            };
            let specs: Vec<Spec> = match answer {
                [] => Vec::new(),
                answer => serde_json::from_slice(answer).unwrap_or_else(|error| {
                    wrong(
                        String::new(),
                        format!("its answer is no list of subscriptions: {error}"),
                    );
                    Vec::new()
                }),
            };
            for spec in &specs {
                match Subscription::new(app, spec) {
                    Ok(subscription) => joined.add(subscription, spec),
                    Err(error) => wrong(
                        format!("{}/{}", spec.pubsubname, spec.topic),
                        error.to_string(),
                    ),
                }
            }
        }
        (joined, errors)
    }

    /// Takes out what the apps are not granted, and tells it.
    pub(super) fn retain_granted(&mut self, apps: &BTreeMap<AppId, Grants>) -> Vec<SubscriptionError> {
        let mut errors = Vec::new();
        for ((pubsub, topic), subscriptions) in &mut self.topics {
            subscriptions.retain_mut(|subscription| {
                let app = subscription.app.clone();
                let Some(grants) = apps.get(&app) else {
                    return false;
                };
                let mut wrong = |reason| {
                    let (app, topic) = (app.clone(), format!("{pubsub}/{topic}"));
                    errors.push(SubscriptionError { app, topic, reason });
                };
                if let Some(dead) = &subscription.dead_letter_topic
                    && !grants.allows_dead_letters(pubsub, topic, dead)
                {
                    wrong(format!(
                        "its dead-letter topic {dead:?} is left out: it has no grant for publish \"{pubsub}/{dead}\""
                    ));
                    subscription.dead_letter_topic = None;
                }
                let granted = grants.allows_subscribe(pubsub, topic);
                if !granted {
                    wrong(format!(
                        "not granted; add subscribe = [\"{pubsub}/{topic}\"] to [package.{app}.dapr]"
                    ));
                }
                granted
            });
        }
        self.topics
            .retain(|_, subscriptions| !subscriptions.is_empty());
        errors
    }

    fn add(&mut self, subscription: Subscription, spec: &Spec) {
        let topic = (subscription.pubsub.clone(), subscription.topic.clone());
        if let Some(metadata) = &spec.metadata {
            self.metadata
                .entry(topic.clone())
                .or_insert_with(|| metadata.clone());
        }
        let subscriptions = self.topics.entry(topic).or_default();
        if !subscriptions
            .iter()
            .any(|known| known.app == subscription.app)
        {
            subscriptions.push(subscription);
        }
    }

    /// Returns what the gateway answers on `GET /dapr/subscribe`: each topic once. A dead-letter topic is
    /// passed on if all subscribers of a topic name the same one; otherwise the gateway publishes
    /// to each subscriber's own.
    pub(super) fn document(&self) -> Value {
        let entries = self.topics.iter().map(|((pubsub, topic), subscriptions)| {
            let route = format!(
                "{EVENTS}/{}/{}",
                encode_component(pubsub),
                encode_component(topic)
            );
            let mut entry = Map::from_iter([
                ("pubsubname".to_owned(), pubsub.as_str().into()),
                ("topic".to_owned(), topic.as_str().into()),
                ("route".to_owned(), route.into()),
            ]);
            if let Some(dead_letter) = common_dead_letter(subscriptions) {
                entry.insert("deadLetterTopic".to_owned(), dead_letter.into());
            }
            // If one wants batches, the sidecar sends batches: smaller and sooner ones where several do.
            let bulk = subscriptions.iter().filter_map(|one| one.bulk);
            if let Some(most) = bulk.clone().map(|bulk| bulk.most).min() {
                let wait = bulk.map(|bulk| bulk.longest_wait.as_millis()).min();
                let bulk = json!({
                    "enabled": true, "maxMessagesCount": most,
                    "maxAwaitDurationMs": u64::try_from(wait.unwrap_or_default()).unwrap_or(u64::MAX),
                });
                entry.insert("bulkSubscribe".to_owned(), bulk);
            }
            if let Some(metadata) = self.metadata.get(&(pubsub.clone(), topic.clone())) {
                entry.insert("metadata".to_owned(), metadata.clone().into());
            }
            Value::Object(entry)
        });
        Value::Array(entries.collect())
    }

    /// The apps that take an event of `topic`, each with the path its rules choose, or with why they cannot.
    pub(super) fn targets(&self, pubsub: &str, topic: &str, event: &Value) -> Vec<(AppId, Target)> {
        let subscriptions = self.subscriptions(pubsub, topic).iter();
        let targets =
            subscriptions.filter_map(|subscription| Some((subscription.app.clone(), target(subscription, event)?)));
        targets.collect()
    }

    /// The topic to which the gateway itself publishes what `app` drops; none if the sidecar does
    /// that, or nobody.
    pub(super) fn own_dead_letter(&self, app: &AppId, pubsub: &str, topic: &str) -> Option<&str> {
        let subscriptions = self.subscriptions(pubsub, topic);
        if common_dead_letter(subscriptions).is_some() && subscriptions.len() == 1 {
            return None;
        }
        let own = subscriptions
            .iter()
            .find(|subscription| subscription.app == *app);
        own.and_then(|subscription| subscription.dead_letter_topic.as_deref())
    }

    /// Returns whether events of `app` go to this plain path.
    pub(super) fn has_path(&self, app: &AppId, path: &str) -> bool {
        let own = self
            .topics
            .values()
            .flatten()
            .filter(|subscription| subscription.app == *app);
        own.flat_map(Subscription::paths)
            .any(|own| path_of(own) == path)
    }

    /// The apps that subscribe to `topic`, and whether they want its events in bulk.
    pub(super) fn apps(&self, pubsub: &str, topic: &str) -> Vec<(AppId, bool)> {
        let subscriptions = self.subscriptions(pubsub, topic).iter();
        let apps = subscriptions.map(|one| (one.app.clone(), one.bulk.is_some()));
        apps.collect()
    }

    /// Returns where `app` takes `event`; none if it does not.
    pub(super) fn target(&self, app: &AppId, pubsub: &str, topic: &str, event: &Value) -> Option<Target> {
        let mut subscriptions = self.subscriptions(pubsub, topic).iter();
        target(subscriptions.find(|one| one.app == *app)?, event)
    }

    /// Pub/sub and topic of all subscriptions.
    pub(super) fn topics(&self) -> BTreeSet<(String, String)> {
        self.topics.keys().cloned().collect()
    }

    /// Returns whether anybody here subscribes to `topic`.
    pub(super) fn has_topic(&self, pubsub: &str, topic: &str) -> bool {
        !self.subscriptions(pubsub, topic).is_empty()
    }

    /// The subscriptions of `app` as the metadata API lists them.
    pub(super) fn of_app(&self, app: &AppId) -> Vec<Value> {
        let own = self.topics.values().flatten();
        let own = own.filter(|subscription| subscription.app == *app);
        own.map(|subscription| {
            let rules: Vec<Value> = subscription
                .paths()
                .map(|path| json!({"path": path}))
                .collect();
            json!({
                "pubsubname": subscription.pubsub, "topic": subscription.topic, "rules": rules,
                "deadLetterTopic": subscription.dead_letter_topic.as_deref().unwrap_or_default(),
            })
        })
        .collect()
    }

    fn subscriptions(&self, pubsub: &str, topic: &str) -> &[Subscription] {
        let topic = (pubsub.to_owned(), topic.to_owned());
        self.topics.get(&topic).map_or(&[], Vec::as_slice)
    }
}

fn target(subscription: &Subscription, event: &Value) -> Option<Target> {
    match subscription.path_for(event) {
        Ok(path) => Some(Ok(with_leading_slash(path?))),
        Err(error) => Some(Err(error.to_string())),
    }
}

fn common_dead_letter(subscriptions: &[Subscription]) -> Option<&str> {
    let first = subscriptions.first()?.dead_letter_topic.as_deref()?;
    let same = |one: &Subscription| one.dead_letter_topic.as_deref() == Some(first);
    subscriptions.iter().all(same).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppId {
        AppId::new(name).unwrap()
    }

    fn joined(answers: &[(&str, Value)]) -> FanOut {
        let answers: Vec<_> = answers
            .iter()
            .map(|(name, list)| (app(name), list.to_string()))
            .collect();
        let (fan_out, errors) = FanOut::new(answers.iter().map(|(app, list)| (app, list.as_bytes())));
        assert!(errors.is_empty(), "{errors:?}");
        fan_out
    }

    #[test]
    fn a_topic_is_subscribed_once_and_reaches_everyone() {
        let fan_out = joined(&[
            (
                "a",
                json!([{"pubsubname": "p", "topic": "t/1", "route": "x", "deadLetterTopic": "d"}]),
            ),
            (
                "b",
                json!([{"pubsubname": "p", "topic": "t/1", "routes": {
                "rules": [{"match": "event.type == 'big'", "path": "/big"}]}}]),
            ),
        ]);
        let document = fan_out.document();
        assert_eq!(document.as_array().unwrap().len(), 1);
        assert_eq!(document[0]["route"], "/wasmgate-events/p/t%2F1");
        assert_eq!(document[0].get("deadLetterTopic"), None);
        let small = fan_out.targets("p", "t/1", &json!({"type": "small"}));
        assert_eq!(small, [(app("a"), Ok("/x".to_owned()))]);
        let big = fan_out.targets("p", "t/1", &json!({"type": "big"}));
        assert_eq!(
            big,
            [
                (app("a"), Ok("/x".to_owned())),
                (app("b"), Ok("/big".to_owned()))
            ]
        );
        assert_eq!(fan_out.own_dead_letter(&app("a"), "p", "t/1"), Some("d"));
        assert_eq!(fan_out.own_dead_letter(&app("b"), "p", "t/1"), None);
    }

    #[test]
    fn a_rule_that_takes_too_long_tells_so_and_others_get_the_event() {
        let square = "event.data.all(a, event.data.exists(b, b == a))";
        let routes = json!({"rules": [{"match": square, "path": "/x"}], "default": "/x"});
        let fan_out = joined(&[
            (
                "a",
                json!([{"pubsubname": "p", "topic": "t", "routes": routes}]),
            ),
            (
                "b",
                json!([{"pubsubname": "p", "topic": "t", "route": "/y"}]),
            ),
        ]);
        let event = json!({"data": (0..5000).collect::<Vec<_>>()});
        let targets = fan_out.targets("p", "t", &event);
        assert!(
            matches!(&targets[0], (_, Err(reason)) if reason.contains(square)),
            "{targets:?}"
        );
        assert_eq!(targets[1], (app("b"), Ok("/y".to_owned())));
    }

    #[test]
    fn what_cannot_be_used_is_told_and_left_out() {
        let (a, b) = (app("a"), app("b"));
        let (fan_out, errors) = FanOut::new([
            (&a, &b"{}"[..]),
            (
                &b,
                &br#"[{"pubsubname":"p","topic":"t"},{"pubsubname":"p","topic":"u","route":"/u?x=1"},
                    {"pubsubname":"p","topic":"v","route":"/no path"}]"#[..],
            ),
        ]);
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(
            errors[2].to_string().contains(r#""/no path""#),
            "{errors:?}"
        );
        assert_eq!(fan_out.document().as_array().unwrap().len(), 1);
        assert!(fan_out.has_path(&b, "u") && !fan_out.has_path(&b, "v"));
    }
}
