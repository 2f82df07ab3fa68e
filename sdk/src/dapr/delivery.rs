//! Deliveries from Dapr to a package: events, jobs, bindings and changes of configuration.
//!
//! They come as ordinary requests, on paths that are never routed from outside:
//!
//! | path | what comes |
//! |---|---|
//! | `GET /dapr/subscribe` | asks what the package subscribes to |
//! | `POST /dapr/events/{pubsub}/{topic}` | an event that no rule takes |
//! | `POST /dapr/rules/{number}/{pubsub}/{topic}` | an event that a rule takes |
//! | `OPTIONS /{binding}`, `POST /{binding}` | an input binding's question and its data |
//! | `POST /job/{name}` | a job that is due |
//! | `POST /configuration/{store}/{key}` | a change of configuration |

use std::{pin::Pin, rc::Rc};

use crate::{Answer, Error, HeaderMap, Method, Request, Response, answer::AnswerKind, marker};

/// The fate of something that was delivered.
///
/// ```
/// use wasmgate_sdk::{Router, dapr::{Delivery, pubsub::CloudEvent}};
///
/// let app = Router::new().subscribe("pubsub", "orders", |event: CloudEvent<String>| {
///     match event.data.as_str() {
///         "latte" => Delivery::Success,
///         "tea" => Delivery::Drop,
///         _ => Delivery::Retry,
///     }
/// });
/// # let _ = app;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Done.
    Success,
    /// To be delivered again, as the component's retries allow; an event then goes to its
    /// dead-letter topic.
    Retry,
    /// Never to be delivered again: an event goes to its dead-letter topic, if it has one, and
    /// anything else is done with.
    Drop,
}

/// A value that the handler of a delivery may return: nothing, a [`Delivery`], or a `Result` of either,
/// whose error is logged and stands for [`Delivery::Retry`].
///
/// ```
/// use wasmgate_sdk::{Error, Router, dapr::{self, Delivery, pubsub::CloudEvent}};
///
/// async fn brew(event: CloudEvent<String>) -> Result<Delivery, Error> {
///     let barista = dapr::state("statestore");
///     match barista.create(&event.id, &event.data).await {
///         // A second delivery of the same event.
///         Err(dapr::Error::EtagMismatch { .. }) => Ok(Delivery::Success),
///         result => Ok(result.map(|()| Delivery::Success)?),
///     }
/// }
/// let app = Router::new().subscribe("pubsub", "orders", brew);
/// # let _ = app;
/// ```
pub trait IntoDelivery {
    /// Converts it into the fate of what was delivered.
    fn into_delivery(self) -> Result<Delivery, Error>;
}

impl IntoDelivery for Delivery {
    fn into_delivery(self) -> Result<Delivery, Error> {
        Ok(self)
    }
}

impl IntoDelivery for () {
    fn into_delivery(self) -> Result<Delivery, Error> {
        Ok(Delivery::Success)
    }
}

impl<T: IntoDelivery, E: Into<Error>> IntoDelivery for Result<T, E> {
    fn into_delivery(self) -> Result<Delivery, Error> {
        self.map_err(Into::into)?.into_delivery()
    }
}

/// The outcome of a delivery, ready or as a future; see [`IntoOutcome`].
pub struct Outcome(OutcomeKind);

enum OutcomeKind {
    Ready(Result<Delivery, Error>),
    Future(Pin<Box<dyn Future<Output = Result<Delivery, Error>>>>),
}

/// The return value of a delivery's handler: [`IntoDelivery`], or a future of it. `M` only tells the
/// two apart.
///
/// ```
/// use wasmgate_sdk::{Router, dapr::{Delivery, jobs::DueJob}};
///
/// async fn later(_: DueJob<()>) {}
///
/// let app = Router::new()
///     .job("at-once", |_: DueJob<()>| Delivery::Success)
///     .job("later", later);
/// # let _ = app;
/// ```
pub trait IntoOutcome<M> {
    /// Converts it into the outcome.
    fn into_outcome(self) -> Outcome;
}

impl<T: IntoDelivery> IntoOutcome<marker::Sync> for T {
    fn into_outcome(self) -> Outcome {
        Outcome(OutcomeKind::Ready(self.into_delivery()))
    }
}

impl<F> IntoOutcome<marker::Async> for F
where
    F: Future + 'static,
    F::Output: IntoDelivery,
{
    fn into_outcome(self) -> Outcome {
        Outcome(OutcomeKind::Future(Box::pin(async move {
            self.await.into_delivery()
        })))
    }
}

/// A delivery before it is read as a type.
pub(crate) struct Delivered {
    pub(crate) body: Vec<u8>,
    pub(crate) headers: HeaderMap,
    /// The part of the path that the route leaves open, decoded.
    pub(crate) name: String,
}

/// A handler whatever its types: what does not fit them is its error.
pub(crate) type Handler = Rc<dyn Fn(Delivered) -> Result<Outcome, Error>>;

/// One thing a router takes deliveries of.
pub(crate) trait Source {
    /// Returns what answers a request, if it is for this one.
    fn accept(&self, method: &Method, path: &str) -> Option<Accepted>;

    /// This one in the answer to `GET /dapr/subscribe`, as JSON.
    fn subscription(&self) -> Option<String> {
        None
    }

    /// The path outside `/dapr`, if it has one, that no route of the package's own may have too;
    /// asked by tests.
    #[cfg(not(target_family = "wasm"))]
    fn path(&self) -> Option<String> {
        None
    }
}

/// The treatment of a request that a [`Source`] takes.
pub(crate) enum Accepted {
    /// Only asked whether it would be taken.
    Asked,
    /// Delivered, with the part of the path that was left open.
    Delivered(Handler, String),
    /// The same for an event, which is answered in words.
    Event(Handler),
}

/// Answers a delivery.
type Respond = Box<dyn FnOnce(Request) -> Answer>;

/// The sources of a router's deliveries.
pub(crate) struct Deliveries {
    /// The way in. A pointer, so that a package without deliveries does not carry what is behind it.
    find: fn(&Deliveries, &Request) -> Option<Respond>,
    sources: Vec<Box<dyn Source>>,
}

impl Deliveries {
    pub(crate) fn new() -> Self {
        Deliveries {
            find,
            sources: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, source: impl Source + 'static) {
        self.sources.push(Box::new(source));
    }

    pub(crate) fn merge(&mut self, other: Deliveries) {
        self.sources.extend(other.sources);
    }

    /// Returns what answers a request, if it is a delivery.
    pub(crate) fn find(&self, request: &Request) -> Option<Respond> {
        (self.find)(self, request)
    }

    /// The paths outside `/dapr` that deliveries come to, as `POST`.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn paths(&self) -> impl Iterator<Item = String> {
        self.sources.iter().filter_map(|source| source.path())
    }
}

fn find(deliveries: &Deliveries, request: &Request) -> Option<Respond> {
    let (method, path) = (request.method(), request.path());
    if path == "/dapr/subscribe" && *method == Method::GET {
        let list = subscriptions(&deliveries.sources);
        return Some(Box::new(|_| Answer::ready(list)));
    }
    let accepted = deliveries
        .sources
        .iter()
        .find_map(|source| source.accept(method, path))?;
    Some(Box::new(|request| match accepted {
        Accepted::Asked => Answer::ready(Response::new(204)),
        Accepted::Delivered(handler, name) => deliver(request, handler, name, by_status),
        Accepted::Event(handler) => deliver(request, handler, String::new(), in_words),
    }))
}

fn subscriptions(sources: &[Box<dyn Source>]) -> Response {
    let mut list = String::from("[");
    for subscription in sources.iter().filter_map(|source| source.subscription()) {
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&subscription);
    }
    list.push(']');
    Response::new(200)
        .with_header("content-type", "application/json")
        .with_body(list)
}

fn deliver(mut request: Request, handler: Handler, name: String, answer: fn(Delivery) -> Response) -> Answer {
    Answer(AnswerKind::Future(Box::pin(async move {
        match run(&mut request, &handler, name).await {
            Ok(delivery) => answer(delivery),
            Err(error) => failed(error),
        }
    })))
}

async fn run(request: &mut Request, handler: &Handler, name: String) -> Result<Delivery, Error> {
    let body = request.bytes().await?;
    let headers = request.headers().clone();
    let delivered = Delivered {
        body,
        headers,
        name,
    };
    match handler(delivered)?.0 {
        OutcomeKind::Ready(result) => result,
        OutcomeKind::Future(future) => future.await,
    }
}

/// As Dapr reads the answer to an event.
fn in_words(delivery: Delivery) -> Response {
    let status = match delivery {
        Delivery::Success => r#"{"status":"SUCCESS"}"#,
        Delivery::Retry => r#"{"status":"RETRY"}"#,
        Delivery::Drop => r#"{"status":"DROP"}"#,
    };
    Response::text(status).with_header("content-type", "application/json")
}

/// As Dapr reads the answer to anything else: by its status.
fn by_status(delivery: Delivery) -> Response {
    match delivery {
        Delivery::Success | Delivery::Drop => Response::new(200),
        Delivery::Retry => Error::new(503, "to be delivered again").into_response(),
    }
}

/// An error asks for another try: whatever its status was, it is one that Dapr reads so. 404 would
/// drop an event, and below 400 is no error.
fn failed(error: Error) -> Response {
    // Nobody reads the answer, so the log has to tell.
    if error.source().is_none() {
        crate::log(&format!("a delivery failed: {error}"));
    }
    let response = error.into_response();
    match response.status().as_u16() {
        404 | 0..400 => response.with_status(500),
        _ => response,
    }
}
