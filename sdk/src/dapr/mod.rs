//! Dapr's building blocks.
//!
//! Each is reached by a function that names a component, and answers from the same package are
//! the same whether the blocks are embedded in the gateway or a sidecar's: the calls are plain
//! HTTP to `DAPR_HTTP_ENDPOINT`, by default `http://localhost:3500`
//! (<https://docs.dapr.io/reference/api/>). With `DAPR_API_TOKEN` in the environment every call
//! carries it. The package's `dapr` table in `wasmgate.toml` has to grant what it uses.
//!
//! | block | call | taken by the router |
//! |---|---|---|
//! | [`state`](mod@state) | [`dapr::state("statestore")`](fn@state) | |
//! | [`pubsub`](mod@pubsub) | [`dapr::pubsub("pubsub")`](fn@pubsub) | [`Router::subscribe`](crate::Router::subscribe) |
//! | [`invoke`](mod@invoke) | [`dapr::invoke("product-api")`](fn@invoke) | ordinary routes |
//! | [`bindings`] | [`dapr::binding("mail")`](binding) | [`Router::binding`](crate::Router::binding) |
//! | [`jobs`] | [`dapr::job("time-out")`](job) | [`Router::job`](crate::Router::job) |
//! | [`secrets`](mod@secrets) | [`dapr::secrets("secretstore")`](fn@secrets) | |
//! | [`configuration`](mod@configuration) | [`dapr::configuration("configstore")`](fn@configuration) |
//! [`Router::configuration`](crate::Router::configuration) | | [`lock`](mod@lock) |
//! [`dapr::lock("lockstore")`](fn@lock) | |
//!
//! What Dapr brings comes on paths that the gateway never routes from outside: `/dapr/subscribe`,
//! `/dapr/events/{pubsub}/{topic}`, `/dapr/rules/{number}/{pubsub}/{topic}`, `/job/{name}`,
//! `/configuration/{store}/{key}` and `/{binding}`.
//!
//! ```
//! use wasmgate_sdk::{Error, Request, Response, Router, dapr, dapr::pubsub::CloudEvent, testing};
//! # use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, Serialize)]
//! struct Order { id: String, drink: String }
//!
//! async fn place(mut request: Request) -> Result<Response, Error> {
//!     let order: Order = request.json().await?;
//!     dapr::state("statestore").create(&order.id, &order).await?;
//!     dapr::pubsub("pubsub").publish("orders", &order).await?;
//!     Ok(Response::new(202))
//! }
//!
//! async fn brew(event: CloudEvent<Order>) -> Result<(), Error> {
//!     println!("one {}", event.data.drink);
//!     Ok(()) // an error is retried
//! }
//!
//! let app = Router::new().post("/orders", place).subscribe("pubsub", "orders", brew);
//!
//! // Under test an in-memory stand-in answers in Dapr's place.
//! let dapr = testing::dapr();
//! let order = Request::post("/orders").with_json(&Order { id: "7".into(), drink: "latte".into() });
//! assert_eq!(testing::call(&app, order).status(), 202);
//! assert_eq!(dapr.state("statestore", "7").unwrap()["drink"], "latte");
//! let deliveries = dapr.deliver(&app);
//! assert!(deliveries.iter().all(|delivery| delivery.is_success()));
//! ```

mod api;
pub mod bindings;
pub mod configuration;
mod delivery;
mod error;
pub mod invoke;
pub mod jobs;
pub mod lock;
mod metadata;
pub mod pubsub;
pub mod secrets;
pub mod state;
mod words;

pub use delivery::{Delivery, IntoDelivery, IntoOutcome, Outcome};
pub use error::Error;

pub(crate) use delivery::{Deliveries, Source as DeliverySource};

use std::borrow::Cow;

/// A state store.
pub fn state(store: impl Into<Cow<'static, str>>) -> state::Store {
    state::Store::new(store.into())
}

/// A pub/sub component, to publish to.
pub fn pubsub(component: impl Into<Cow<'static, str>>) -> pubsub::PubSub {
    pubsub::PubSub::new(component.into())
}

/// Another app, to call.
pub fn invoke(app_id: impl Into<Cow<'static, str>>) -> invoke::App {
    invoke::App::new(app_id.into())
}

/// An output binding.
pub fn binding(name: impl Into<Cow<'static, str>>) -> bindings::Binding {
    bindings::Binding::new(name.into())
}

/// A job of this app.
pub fn job(name: impl Into<Cow<'static, str>>) -> jobs::Job {
    jobs::Job::new(name.into())
}

/// A secret store.
pub fn secrets(store: impl Into<Cow<'static, str>>) -> secrets::SecretStore {
    secrets::SecretStore::new(store.into())
}

/// A configuration store.
pub fn configuration(store: impl Into<Cow<'static, str>>) -> configuration::ConfigurationStore {
    configuration::ConfigurationStore::new(store.into())
}

/// A lock store.
pub fn lock(store: impl Into<Cow<'static, str>>) -> lock::LockStore {
    lock::LockStore::new(store.into())
}
