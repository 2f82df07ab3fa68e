//! Subscriptions: who subscribes to which events, as apps answer to `GET /dapr/subscribe` and as YAML declares.

mod left_out;
pub(crate) mod rules;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wasmgate_common::{Code, Diagnostic, path::is_route};

use crate::{
    app::AppId,
    json::{self, or_default},
};
pub(crate) use left_out::LeftOut;
use rules::{Rule, TooLong, first_that_holds};

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
    #[serde(
        default,
        deserialize_with = "json::some_object",
        skip_serializing_if = "Option::is_none"
    )]
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
    /// Several events to one delivery, if the app asked for it.
    pub(crate) bulk: Option<Bulk>,
}

/// The size of bulk deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bulk {
    /// At most.
    pub(crate) most: usize,
    /// The time that the first event waits for others.
    pub(crate) longest_wait: Duration,
}

/// Events in one bulk delivery unless the app says otherwise, and at most: the body of the
/// delivery is kept whole in memory.
const BULK_DEFAULT: usize = 100;
pub(crate) const BULK_MAX: usize = 1000;

/// The time that events wait for others unless the app says otherwise, as in Dapr, and at most.
const BULK_WAIT_DEFAULT: Duration = Duration::from_secs(1);
const BULK_WAIT_MAX: Duration = Duration::from_secs(60);

/// The reason for which an entry is no subscription.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscriptionError {
    #[error("a subscription must name pubsubname and topic")]
    Nameless,
    #[error("the subscription to {0} has no route")]
    NoRoute(String),
    #[error("the route {route:?} of {topic} is no path of a request")]
    Route { topic: String, route: String },
    #[error("the rule {rule:?} of {topic} is no CEL expression: {reason}")]
    Rule {
        topic: String,
        rule: String,
        reason: String,
    },
}

impl From<SubscriptionError> for Diagnostic {
    fn from(error: SubscriptionError) -> Self {
        let (code, help) = match &error {
            SubscriptionError::Nameless => (Code::MissingKey, "give both"),
            SubscriptionError::NoRoute(_) => (Code::MissingKey, "give route, or routes.default"),
            SubscriptionError::Route { .. } => (
                Code::InvalidValue,
                "write a path such as \"/orders\", with a space as %20 and a # as %23",
            ),
            SubscriptionError::Rule { .. } => (
                Code::Syntax,
                "write an expression such as `event.type == \"paid\"`",
            ),
        };
        Self::new(code, error.to_string(), help)
    }
}

impl Subscription {
    /// Checks that `spec` can be some app's subscription.
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
            bulk: bulk.map(Bulk::from),
        })
    }

    /// Every path that its events may go to.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        let rules = self.rules.iter().map(|rule| rule.path.as_str());
        rules.chain(self.default_path.as_deref())
    }

    /// Returns whether another subscription to the same topic would have the same done with every event.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let rules = |one: &Self| -> Vec<(String, String)> {
            let rules = one.rules.iter();
            rules
                .map(|rule| (rule.text.clone(), rule.path.clone()))
                .collect()
        };
        self.key() == other.key()
            && rules(self) == rules(other)
            && self.default_path == other.default_path
            && self.dead_letter_topic == other.dead_letter_topic
            && self.raw == other.raw
            && self.bulk == other.bulk
    }

    /// The queue's key.
    pub(crate) fn key(&self) -> (&str, &str, &str) {
        (self.app.as_str(), &self.pubsub, &self.topic)
    }

    /// The path that takes `event`: that of the first rule that holds, else the default.
    pub(crate) fn path_for<'a>(&'a self, event: &'a Value) -> Result<Option<&'a str>, TooLong> {
        let rule = first_that_holds(&self.rules, event)?;
        Ok(rule
            .map(|rule| rule.path.as_str())
            .or(self.default_path.as_deref()))
    }
}

impl From<&BulkSubscribe> for Bulk {
    /// Zero stands for Dapr's default, as it does there.
    fn from(wanted: &BulkSubscribe) -> Self {
        let most = wanted.max_messages_count.filter(|most| *most > 0);
        let wait = wanted.max_await_duration_ms.filter(|wait| *wait > 0);
        Self {
            most: most.unwrap_or(BULK_DEFAULT).min(BULK_MAX),
            longest_wait: wait
                .map_or(BULK_WAIT_DEFAULT, Duration::from_millis)
                .min(BULK_WAIT_MAX),
        }
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
    let mut paths = rules
        .iter()
        .map(|rule| &rule.path)
        .chain(default_path.as_ref());
    if let Some(route) = paths.find(|path| !is_route(path)) {
        let (topic, route) = (spec.topic.clone(), route.clone());
        return Err(SubscriptionError::Route { topic, route });
    }
    Ok((rules, default_path))
}
