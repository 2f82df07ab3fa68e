//! Subscriptions of a router.

use std::{borrow::Cow, rc::Rc};

use serde::{Serialize, de::DeserializeOwned};

use super::CloudEvent;
use crate::{
    Method, Router,
    dapr::{
        IntoOutcome,
        delivery::{Accepted, Handler, Source},
        metadata::Metadata,
    },
    percent, percent_encode,
};

/// The path of events that no rule takes.
const EVENTS: &str = "/dapr/events/";

/// The path of a rule's events, below its number.
const RULES: &str = "/dapr/rules/";

/// A topic with its handler, and what is to happen with events that it cannot take; for
/// [`Router::subscription`].
///
/// The first rule whose condition holds takes the event, otherwise the handler given first does.
/// A condition is in CEL over the event's envelope, as `event.type == "shop.order.v2"`
/// (<https://docs.dapr.io/developing-applications/building-blocks/pubsub/howto-route-messages/>).
/// Rules are known by their place: add new ones at the end while events of old ones are under way.
///
/// ```
/// use serde::Deserialize;
/// use wasmgate_sdk::{Router, dapr::pubsub::{CloudEvent, Message, Subscription}, testing};
///
/// #[derive(Deserialize)]
/// struct Order { drink: String }
/// #[derive(Deserialize)]
/// struct OrderV2 { drinks: Vec<String> }
///
/// let orders = Subscription::new("pubsub", "orders", |event: CloudEvent<Order>| {
///         println!("one {}", event.data.drink);
///     })
///     .rule("event.type == \"shop.order.v2\"", |event: CloudEvent<OrderV2>| {
///         println!("all of {:?}", event.data.drinks);
///     })
///     .dead_letter_topic("poisoned-orders");
/// let app = Router::new().subscription(orders);
/// # let subscribe = testing::call(&app, wasmgate_sdk::Request::get("/dapr/subscribe"));
/// # assert_eq!(subscribe.json::<serde_json::Value>()[0]["deadLetterTopic"], "poisoned-orders");
/// ```
pub struct Subscription {
    pubsub: &'static str,
    topic: &'static str,
    handler: Handler,
    rules: Vec<Rule>,
    dead_letter_topic: Option<Cow<'static, str>>,
    metadata: Metadata,
}

struct Rule {
    condition: Cow<'static, str>,
    handler: Handler,
}

impl Subscription {
    /// A topic's events, to a handler that takes a [`CloudEvent`].
    pub fn new<T, R, M>(
        pubsub: &'static str,
        topic: &'static str,
        handler: impl Fn(CloudEvent<T>) -> R + 'static,
    ) -> Self
    where
        T: DeserializeOwned,
        R: IntoOutcome<M>,
    {
        Subscription {
            pubsub,
            topic,
            handler: typed(handler),
            rules: Vec::new(),
            dead_letter_topic: None,
            metadata: Metadata::new(),
        }
    }

    /// Events for which a condition holds, to a handler of their own.
    pub fn rule<T, R, M>(
        mut self,
        condition: impl Into<Cow<'static, str>>,
        handler: impl Fn(CloudEvent<T>) -> R + 'static,
    ) -> Self
    where
        T: DeserializeOwned,
        R: IntoOutcome<M>,
    {
        self.rules.push(Rule {
            condition: condition.into(),
            handler: typed(handler),
        });
        self
    }

    /// Sets the topic of events that are dropped, or fail after all retries; without one they are lost.
    pub fn dead_letter_topic(mut self, topic: impl Into<Cow<'static, str>>) -> Self {
        self.dead_letter_topic = Some(topic.into());
        self
    }

    /// Metadata for the component, for example `rawPayload` = `true` for a topic whose events
    /// have no envelope.
    pub fn metadata(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.metadata.set(name, value);
        self
    }

    /// Returns whether a path's rest names this topic. Whoever delivers may have decoded it.
    fn is_named(&self, rest: &str) -> bool {
        let rest = percent::decode(rest);
        let topic = rest
            .strip_prefix(self.pubsub)
            .and_then(|rest| rest.strip_prefix('/'));
        topic == Some(self.topic)
    }

    fn rule_handler(&self, rest: &str) -> Option<&Handler> {
        let (number, rest) = rest.split_once('/')?;
        let rule = self.rules.get(number.parse::<usize>().ok()?)?;
        self.is_named(rest).then_some(&rule.handler)
    }

    fn encoded(&self) -> String {
        format!(
            "{}/{}",
            percent_encode(self.pubsub),
            percent_encode(self.topic)
        )
    }
}

/// Subscriptions.
impl Router {
    /// Takes the events of a topic: the handler gets a [`CloudEvent`] of any data that serde
    /// reads, and returns nothing, a [`Delivery`](crate::dapr::Delivery) or a `Result` of either,
    /// or a future of it. An error is logged and the event is tried again; data that does not fit
    /// counts as an error.
    ///
    /// ```
    /// use wasmgate_sdk::{Error, Router, dapr::{self, pubsub::CloudEvent}, testing};
    ///
    /// async fn brew(event: CloudEvent<String>) -> Result<(), Error> {
    ///     dapr::pubsub("pubsub").publish("drinks", &format!("a {}", event.data)).await?;
    ///     Ok(())
    /// }
    /// let app = Router::new().subscribe("pubsub", "orders", brew);
    ///
    /// let dapr = testing::dapr();
    /// dapr.publish("pubsub", "orders", "latte".into());
    /// dapr.deliver(&app);
    /// assert_eq!(dapr.published("pubsub", "drinks")[0]["data"], "a latte");
    /// ```
    pub fn subscribe<T, R, M>(
        self,
        pubsub: &'static str,
        topic: &'static str,
        handler: impl Fn(CloudEvent<T>) -> R + 'static,
    ) -> Self
    where
        T: DeserializeOwned,
        R: IntoOutcome<M>,
    {
        self.subscription(Subscription::new(pubsub, topic, handler))
    }

    /// Takes the events of a topic by rules, or with a dead-letter topic.
    pub fn subscription(self, subscription: Subscription) -> Self {
        self.deliver_to(subscription)
    }
}

impl Source for Subscription {
    fn accept(&self, method: &Method, path: &str) -> Option<Accepted> {
        if *method != Method::POST {
            return None;
        }
        let handler = match path.strip_prefix(EVENTS) {
            Some(rest) => self.is_named(rest).then_some(&self.handler),
            None => self.rule_handler(path.strip_prefix(RULES)?),
        };
        handler.map(|handler| Accepted::Event(Rc::clone(handler)))
    }

    fn subscription(&self) -> Option<String> {
        let topic = self.encoded();
        let route = format!("{EVENTS}{topic}");
        let rule = |(number, rule): (usize, &Rule)| WireRule {
            condition: rule.condition.to_string(),
            path: format!("{RULES}{number}/{topic}"),
        };
        let (route, routes) = if self.rules.is_empty() {
            (Some(route), None)
        } else {
            let rules = self.rules.iter().enumerate().map(rule).collect();
            let default = route;
            (None, Some(WireRoutes { rules, default }))
        };
        let wire = WireSubscription {
            pubsub: self.pubsub,
            topic: self.topic,
            route,
            routes,
            dead_letter_topic: self.dead_letter_topic.as_deref(),
            metadata: &self.metadata,
        };
        // Names and texts can always be written as JSON.
        serde_json::to_string(&wire).ok()
    }
}

/// An entry of the answer to `GET /dapr/subscribe`.
#[derive(Serialize)]
struct WireSubscription<'a> {
    #[serde(rename = "pubsubname")]
    pubsub: &'a str,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<WireRoutes>,
    #[serde(rename = "deadLetterTopic", skip_serializing_if = "Option::is_none")]
    dead_letter_topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'a Metadata,
}

#[derive(Serialize)]
struct WireRoutes {
    rules: Vec<WireRule>,
    default: String,
}

#[derive(Serialize)]
struct WireRule {
    #[serde(rename = "match")]
    condition: String,
    path: String,
}

fn typed<T, R, M>(handler: impl Fn(CloudEvent<T>) -> R + 'static) -> Handler
where
    T: DeserializeOwned,
    R: IntoOutcome<M>,
{
    Rc::new(move |delivered| {
        let event = CloudEvent::from_json(&delivered.body)?;
        Ok(handler(event).into_outcome())
    })
}
