//! Who wants which events, as apps answer on `GET /dapr/subscribe` and as YAML declares.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rules::Rule;
use crate::{api::or_default, app::AppId};

/// One entry of `GET /dapr/subscribe`, also the form in which it is remembered.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) pubsubname: String,
    pub(crate) topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) routes: Option<Routes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dead_letter_topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bulk_subscribe: Option<BulkSubscribe>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Routes {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) rules: Vec<RuleSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct RuleSpec {
    #[serde(rename = "match", default)]
    pub(crate) condition: String,
    pub(crate) path: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BulkSubscribe {
    #[serde(default)]
    pub(crate) enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_messages_count: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_await_duration_ms: Option<u64>,
}

/// A checked subscription of one app.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) app: AppId,
    pub(crate) pubsub: String,
    pub(crate) topic: String,
    pub(crate) rules: Vec<Rule>,
    pub(crate) default_path: Option<String>,
    pub(crate) dead_letter_topic: Option<String>,
    /// The app wants payloads as they are: they come wrapped as bytes.
    pub(crate) raw: bool,
    /// Events to one delivery; 1 unless the app asked for bulk.
    pub(crate) bulk: Option<usize>,
}

/// Events in one bulk delivery unless the app says otherwise, and at most: the body of the
/// delivery is kept whole in memory.
const BULK_DEFAULT: usize = 100;
const BULK_MAX: usize = 1000;

/// Why an entry is no subscription.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscriptionError {
    #[error("a subscription must name pubsubname and topic")]
    Nameless,
    #[error("the subscription to {0} has no route; give route, or routes.default")]
    NoRoute(String),
    #[error("the rule {rule:?} of {topic} is no CEL expression: {reason}")]
    Rule {
        topic: String,
        rule: String,
        reason: String,
    },
}

impl Subscription {
    /// Whether `spec` can be some app's subscription.
    pub(crate) fn check(spec: &Spec) -> Result<(), SubscriptionError> {
        routes(spec).map(drop)
    }

    pub(crate) fn new(app: &AppId, spec: &Spec) -> Result<Self, SubscriptionError> {
        let (rules, default_path) = routes(spec)?;
        let raw = spec
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.get("rawPayload"));
        let bulk = spec.bulk_subscribe.as_ref().filter(|bulk| bulk.enabled);
        Ok(Self {
            app: app.clone(),
            pubsub: spec.pubsubname.clone(),
            topic: spec.topic.clone(),
            rules,
            default_path,
            dead_letter_topic: spec
                .dead_letter_topic
                .clone()
                .filter(|topic| !topic.is_empty()),
            raw: raw.is_some_and(|raw| raw == true || raw == "true"),
            bulk: bulk.map(|bulk| {
                bulk.max_messages_count
                    .unwrap_or(BULK_DEFAULT)
                    .clamp(1, BULK_MAX)
            }),
        })
    }

    /// The queue's key.
    /// Every path that its events may go to.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        let rules = self.rules.iter().map(|rule| rule.path.as_str());
        rules.chain(self.default_path.as_deref())
    }

    pub(crate) fn key(&self) -> (&str, &str, &str) {
        (self.app.as_str(), &self.pubsub, &self.topic)
    }

    /// The path that takes `event`: that of the first rule that holds, else the default.
    pub(crate) fn path_for(&self, event: &Value) -> Option<&str> {
        let rule = self.rules.iter().find(|rule| rule.holds(event));
        rule.map(|rule| rule.path.as_str())
            .or(self.default_path.as_deref())
    }
}

/// The rules and the default route of a subscription that has one or the other.
fn routes(spec: &Spec) -> Result<(Vec<Rule>, Option<String>), SubscriptionError> {
    if spec.pubsubname.is_empty() || spec.topic.is_empty() {
        return Err(SubscriptionError::Nameless);
    }
    let routes = spec.routes.clone().unwrap_or_default();
    let mut rules = Vec::new();
    let mut default_path = spec.route.clone().or(routes.default);
    for rule in routes.rules {
        if rule.condition.trim().is_empty() {
            default_path = Some(rule.path);
            continue;
        }
        rules.push(Rule::new(&rule.condition, rule.path).map_err(|reason| {
            let (topic, rule) = (spec.topic.clone(), rule.condition);
            SubscriptionError::Rule {
                topic,
                rule,
                reason,
            }
        })?);
    }
    if rules.is_empty() && default_path.is_none() {
        return Err(SubscriptionError::NoRoute(spec.topic.clone()));
    }
    Ok((rules, default_path))
}
