//! Dapr in memory, for tests.

mod answer;
mod clock;
mod deliver;
mod events;
mod invoke;
mod jobs;
mod locks;
mod path;
mod state;
mod world;

use std::{collections::BTreeMap, rc::Rc};

use serde_json::{Value, json};

pub use deliver::Attempt;

use self::world::World;
use super::{Outbound, Reply};
use crate::{Request, Response, Router, client};

/// Answers this thread's Dapr calls from memory, until what it returns is dropped. Every store,
/// topic and other component exists as soon as it is named; statuses and error codes are Dapr's.
/// Time stands still: nothing expires, and a job is due when [`Dapr::run_job`] says so.
///
/// Calls to anywhere else go where they went before, so [`outbound`](super::outbound) works
/// beside it if it comes first.
#[must_use = "calls to Dapr are refused again as soon as this is dropped"]
pub fn dapr() -> Dapr {
    let world = Rc::new(World::default());
    let answering = Rc::clone(&world);
    let before = super::OUTSIDE.with_borrow(Option::clone);
    let outbound = super::outbound(
        move |request| match (request.authority().as_deref(), &before) {
            (Some("localhost:3500"), _) => answering.answer(request),
            (_, Some(before)) => before(request),
            (_, None) => Err(client::Error::Denied),
        },
    );
    Dapr {
        world,
        _outbound: outbound,
    }
}

/// The stand-in of [`dapr`].
///
/// ```
/// use wasmgate_sdk::{Error, Request, Response, Router, dapr, dapr::pubsub::CloudEvent, testing};
///
/// async fn order(mut request: Request) -> Result<Response, Error> {
///     dapr::pubsub("pubsub").publish("orders", &request.text().await?).await?;
///     Ok(Response::new(202))
/// }
/// async fn brew(event: CloudEvent<String>) -> Result<(), Error> {
///     Ok(dapr::state("statestore").save("last", &event.data).await?)
/// }
///
/// let dapr = testing::dapr();
/// dapr.app("counter-api", Router::new().post("/orders", order));
/// dapr.app("barista-api", Router::new().subscribe("pubsub", "orders", brew));
///
/// let placed = dapr.call("counter-api", Request::post("/orders").with_body("latte"));
/// assert_eq!(placed.status(), 202);
/// assert_eq!(dapr.deliver_all().len(), 1); // to barista-api
/// assert_eq!(dapr.state("statestore", "last").unwrap(), "latte");
/// ```
pub struct Dapr {
    world: Rc<World>,
    _outbound: Outbound,
}

impl Dapr {
    /// Adds an app, to be invoked and to get events.
    pub fn app(&self, id: &str, router: Router) {
        let mistakes = router.mistakes();
        assert!(mistakes.is_empty(), "{id}: {}", mistakes.join("; "));
        let router = Rc::new(router);
        self.world.apps.borrow_mut().insert(id.to_owned(), router);
    }

    /// A client's request to an app.
    ///
    /// # Panics
    /// When there is no such app.
    pub fn call(&self, id: &str, request: Request) -> Reply {
        match self.world.router(id) {
            Some(router) => self.world.run(id, || super::call(&router, request)),
            None => super::fail(&format!("there is no app `{id}`")),
        }
    }

    /// A value of a state store.
    pub fn state(&self, store: &str, key: &str) -> Option<Value> {
        self.world.state.borrow().value(store, key)
    }

    /// The keys of a state store, in order.
    pub fn keys(&self, store: &str) -> Vec<String> {
        self.world.state.borrow().keys(store)
    }

    /// Puts a value into a state store.
    pub fn set_state(&self, store: &str, key: &str, value: Value) {
        self.world.state.borrow_mut().put(store, key, &value);
    }

    /// Gives a store an outbox: what a transaction saves is published to a topic too.
    pub fn outbox(&self, store: &str, pubsub: &str, topic: &str) {
        let mut outboxes = self.world.outboxes.borrow_mut();
        outboxes.insert(store.to_owned(), (pubsub.to_owned(), topic.to_owned()));
    }

    /// The envelopes of all events of a topic, delivered or not, in order.
    pub fn published(&self, pubsub: &str, topic: &str) -> Vec<Value> {
        self.world.events.borrow().of_topic(pubsub, topic)
    }

    /// Publishes data as JSON, as another app would.
    pub fn publish(&self, pubsub: &str, topic: &str, data: Value) {
        let envelope = json!({"data": data, "datacontenttype": "application/json"});
        let mut events = self.world.events.borrow_mut();
        events.publish((pubsub, topic), "test", envelope, BTreeMap::new());
    }

    /// Offers each event that waits, and each that is published meanwhile, once to a router that is
    /// not an [`app`](Dapr::app). One that fails is offered again the next time; after
    /// three failures, or when it is dropped, it goes to the dead-letter topic if there is one.
    pub fn deliver(&self, router: &Router) -> Vec<Attempt> {
        self.world.deliver("", router)
    }

    /// Offers events to every [`app`](Dapr::app), until none waits: retries, dead letters and what
    /// is published meanwhile included.
    pub fn deliver_all(&self) -> Vec<Attempt> {
        self.world.deliver_all()
    }

    /// A job as it was scheduled.
    pub fn job(&self, name: &str) -> Option<Value> {
        self.world.jobs.borrow().0.get(name).cloned()
    }

    /// The names of the jobs that are scheduled.
    pub fn jobs(&self) -> Vec<String> {
        self.world.jobs.borrow().0.keys().cloned().collect()
    }

    /// Brings a job that is due to a router; a job without a schedule is then done.
    ///
    /// # Panics
    /// When there is no such job.
    pub fn run_job(&self, router: &Router, name: &str) -> Reply {
        let Some(job) = self.job(name) else {
            super::fail(&format!("there is no job `{name}`"));
        };
        let request = Request::post(job_path(name));
        let reply = super::call(router, request.with_json(&job.get("data")));
        let done = reply.status().is_success();
        if done && job.get("schedule").is_none() {
            self.world.jobs.borrow_mut().0.remove(name);
        }
        reply
    }

    /// Puts a secret into a secret store.
    pub fn set_secret(&self, store: &str, name: &str, value: &str) {
        let mut secrets = self.world.secrets.borrow_mut();
        let store = secrets.entry(store.to_owned()).or_default();
        store.insert(name.to_owned(), value.to_owned());
    }

    /// Sets a value of a configuration store.
    pub fn set_configuration(&self, store: &str, key: &str, value: &str) {
        let mut configuration = self.world.configuration.borrow_mut();
        let store = configuration.entry(store.to_owned()).or_default();
        store.insert(key.to_owned(), value.to_owned());
    }

    /// Answers an output binding: the operation, and the whole body with `data` and `metadata`;
    /// `None` answers nothing.
    pub fn binding(&self, name: &str, answer: impl Fn(&str, &Value) -> Option<String> + 'static) {
        let mut bindings = self.world.bindings.borrow_mut();
        bindings.insert(name.to_owned(), Rc::new(answer));
    }

    /// Looks at every call first, and answers those for which it returns something: for failures.
    ///
    /// ```
    /// use wasmgate_sdk::{client, dapr, testing};
    ///
    /// let dapr = testing::dapr();
    /// dapr.intercept(|call| {
    ///     call.path().starts_with("/v1.0/publish").then_some(Err(client::Error::Timeout))
    /// });
    /// let published = testing::block_on(dapr::pubsub("pubsub").publish("orders", "latte"));
    /// assert!(matches!(published, Err(dapr::Error::Timeout)));
    /// ```
    pub fn intercept(&self, look: impl Fn(&Request) -> Option<Result<Response, client::Error>> + 'static) {
        *self.world.intercept.borrow_mut() = Some(Rc::new(look));
    }
}

/// Where Dapr brings a job: by its name as it is, but for what may not stand in a path.
fn job_path(name: &str) -> String {
    let legal = |c: char| c.is_ascii_graphic() && !r##""#%<>?[\]^`{|}"##.contains(c);
    let encoded = name.chars().map(|c| match legal(c) {
        true => c.to_string(),
        false => crate::percent_encode(c.encode_utf8(&mut [0; 4])),
    });
    format!("/job/{}", encoded.collect::<String>())
}
