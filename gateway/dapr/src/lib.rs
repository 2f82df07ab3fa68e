//! Dapr's building blocks for packages: the Dapr HTTP API with an embedded runtime on SQLite, and
//! a client that sends the same calls to a real sidecar.
//!
//! The embedding program opens [`BuildingBlocks`], embedded or beside a sidecar, hands them an
//! [`AppChannel`] through which they call back (events, jobs, bindings, invocations), and passes
//! each package's calls to [`BuildingBlocks::call`] together with what that package may reach
//! ([`Grants`]). [`BuildingBlocks::router`] serves the listener beside the public one: the same API
//! for ordinary processes, or a sidecar's callbacks.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use wasmgate_dapr::{ApiRequest, AppChannel, AppId, Body, BuildingBlocks, Grants, Settings};
//! # async fn example(channel: Arc<dyn AppChannel>) -> Result<(), Box<dyn std::error::Error>> {
//! let blocks = BuildingBlocks::open(Settings { data: ".wasmgate".into(), ..Settings::default() })?;
//! let shop = AppId::new("shop")?;
//! blocks.start(channel, [(shop.clone(), Grants::all())]).await;
//! let request = http::Request::get("/v1.0/state/statestore/key").body(Body::empty())?;
//! let answer = blocks.call(&shop, &Grants::all(), ApiRequest::parse(request)).await;
//! assert_eq!(answer.status(), 204);
//! # Ok(()) }
//! ```
//!
//! Bodies are [`axum::body::Body`] everywhere: a boxed `http_body::Body` that is `Send`, so that a
//! call may cross from one worker to another.

mod api;
mod app;
mod back_off;
mod background;
mod bindings;
mod breaker;
mod broker;
mod building_blocks;
mod components;
mod configuration;
mod cron;
mod dapr;
mod error;
mod event;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grants;
mod internal;
mod invoke;
mod jobs;
mod json;
mod key;
mod lock;
mod notes;
mod open_error;
mod protocol;
mod providers;
mod pubsub;
mod quotas;
mod secrets;
mod settings;
mod shares;
pub mod sidecar;
mod state;
mod store;
mod subscription;
mod tcp;
mod time;

pub use app::{
    AppChannel, AppId, AppIdError, DeliverError, DeliverFuture, DeliveryKind, DeliveryResult, HttpAppChannel,
};
pub use axum::body::Body;
pub use broker::{Parked, ParkedFilter, ParkedState, QueueDepth};
pub use building_blocks::{BuildingBlocks, Condition, not_granted};
pub use dapr::{Dapr, Outline, Usage};
pub use grants::{Glob, Globs, GrantError, Grants};
pub use internal::{is_dapr_path, is_runtime_path};
pub use invoke::{DEPTH as INVOCATION_DEPTH, InvocationDepth};
pub use open_error::OpenError;
pub use protocol::{ApiRequest, OperationName};
pub use quotas::{Quota, QuotaExceeded, Quotas};
pub use settings::{OutsideApp, Settings};
pub use state::StateKeys;
pub use store::{DataError, Fault, StoreError, backup, restore};
