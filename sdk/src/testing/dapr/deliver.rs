//! The delivery of events: which subscription, which path, what becomes of them.

use serde::Deserialize;
use serde_json::Value;

use super::{answer::text, world::World};
use crate::{
    Request, Router,
    dapr::Delivery,
    testing::{self, Reply},
};

/// More deliveries than this in one [`super::Dapr::deliver_all`] are a loop.
const DELIVERIES_MAX: usize = 10_000;

/// An event that was offered to an app, from [`Dapr::deliver`](super::Dapr::deliver).
///
/// ```
/// use wasmgate_sdk::{Router, dapr::{Delivery, pubsub::CloudEvent}, testing};
///
/// let app = Router::new().subscribe("pubsub", "orders", |_: CloudEvent<u32>| Delivery::Drop);
/// let dapr = testing::dapr();
/// dapr.publish("pubsub", "orders", 7.into());
/// let attempts = dapr.deliver(&app);
/// assert_eq!(attempts[0].event["data"], 7);
/// assert_eq!(attempts[0].delivery(), Delivery::Drop);
/// ```
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The app-id, empty for a router that is not an app.
    pub app: String,
    /// The topic.
    pub topic: String,
    /// The event's envelope.
    pub event: Value,
    /// The answer of the app.
    pub reply: Reply,
}

#[derive(Clone, Deserialize)]
pub(super) struct Subscription {
    pub(super) pubsubname: String,
    pub(super) topic: String,
    route: Option<String>,
    routes: Option<Routes>,
    #[serde(rename = "deadLetterTopic")]
    pub(super) dead_letter_topic: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Routes {
    rules: Vec<Rule>,
    default: String,
}

#[derive(Clone, Deserialize)]
struct Rule {
    #[serde(rename = "match")]
    condition: String,
    path: String,
}

impl Attempt {
    /// True if the app took it.
    pub fn is_success(&self) -> bool {
        self.delivery() == Delivery::Success
    }

    /// What Dapr reads from the answer.
    pub fn delivery(&self) -> Delivery {
        let answer: Value = serde_json::from_slice(self.reply.bytes()).unwrap_or_default();
        match (self.reply.status().as_u16(), text(&answer, "status")) {
            (200..300, "" | "SUCCESS") => Delivery::Success,
            (200..300, "DROP") | (404, _) => Delivery::Drop,
            _ => Delivery::Retry,
        }
    }
}

impl World {
    /// Offers each waiting event once.
    pub(super) fn deliver(&self, app: &str, router: &Router) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        for subscription in subscriptions(router) {
            let mut next = 0;
            // Not borrowed while the app runs: it publishes.
            let waiting = |next| self.events.borrow().next(next, app, &subscription);
            while let Some((index, event, headers)) = waiting(next) {
                let mut request = Request::post(subscription.path(&event)).with_body(event.to_string());
                for (name, value) in &headers {
                    request = request.with_header(name, value);
                }
                let attempt = Attempt {
                    app: app.to_owned(),
                    topic: subscription.topic.clone(),
                    reply: self.run(app, || testing::call(router, request)),
                    event,
                };
                let mut events = self.events.borrow_mut();
                events.settle(index, &subscription, &attempt);
                attempts.push(attempt);
                next = index + 1;
            }
        }
        attempts
    }

    pub(super) fn deliver_all(&self) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        loop {
            let apps = self.apps.borrow().clone();
            let before = attempts.len();
            for (app, router) in &apps {
                attempts.extend(self.deliver(app, router));
            }
            if attempts.len() == before {
                return attempts;
            }
            assert!(
                attempts.len() < DELIVERIES_MAX,
                "events are published for ever"
            );
        }
    }
}

impl Subscription {
    fn path(&self, event: &Value) -> String {
        let Some(routes) = &self.routes else {
            return self.route.clone().unwrap_or_default();
        };
        let rule = routes.rules.iter().find(|rule| rule.holds(event));
        rule.map_or(&routes.default, |rule| &rule.path).clone()
    }
}

impl Rule {
    /// Only the commonest form of a condition: an attribute is equal to a text.
    fn holds(&self, event: &Value) -> bool {
        let sides = self.condition.split_once("==");
        let parts = sides.and_then(|(left, right)| {
            let attribute = left.trim().strip_prefix("event.")?;
            Some((attribute, right.trim().trim_matches(['"', '\''])))
        });
        match parts {
            Some((attribute, wanted)) => text(event, attribute) == wanted,
            None => testing::fail(&format!(
                "the stand-in reads only rules like `event.type == \"…\"`, not `{}`",
                self.condition
            )),
        }
    }
}

fn subscriptions(router: &Router) -> Vec<Subscription> {
    let reply = testing::call(router, Request::get("/dapr/subscribe"));
    match reply.status().as_u16() {
        404 => Vec::new(),
        _ => reply.json(),
    }
}
