//! Dapr's building blocks for packages: the Dapr HTTP API with an embedded runtime on SQLite, and
//! a client that sends the same calls to a real sidecar.
//!
//! The embedding program opens a [`Dapr`], hands it an [`AppChannel`] through which it calls back
//! (events, jobs, bindings, invocations), and passes each package's calls to [`Dapr::call`]
//! together with what that package may reach ([`Grants`]). The same API is served to ordinary
//! processes by [`Dapr::tcp_router`].
//!
//! Bodies are [`axum::body::Body`] everywhere: a boxed `http_body::Body` that is `Send`, so that a
//! call may cross from one worker to another.

mod api;
mod app;
mod bindings;
mod components;
mod configuration;
mod error;
mod event;
mod grants;
mod jobs;
mod pubsub;
mod runtime;
mod secrets;
mod settings;
pub mod sidecar;
mod start;
mod store;
mod time;

pub use app::{AppChannel, AppId, AppIdError, DeliverError, DeliverFuture, HttpAppChannel};
pub use axum::body::Body;
pub use components::ComponentError;
pub use error::OpenError;
pub use grants::{Globs, GrantError, Grants};
pub use runtime::Dapr;
pub use settings::Settings;
pub use store::QueueDepth;
