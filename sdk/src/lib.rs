//! Write HTTP packages for Wasmgate, or for any `wasi:http` host, in Rust.
//!
//! A package is a router and one line that exports it:
//!
//! ```
//! use wasmgate_sdk::{Router, serve};
//!
//! pub fn app() -> Router {
//!     Router::new().get("/hello", |_| "Hello from Wasmgate!\n")
//! }
//!
//! serve!(app);
//! # fn main() {}
//! ```
//!
//! Every request runs in a fresh instance: nothing is kept between two, and the router is built again for each, which
//! costs less than a microsecond. (In WASI 0.3 an operator may have one instance answer several, by `reuse`.) A handler
//! that never waits starts no executor; one that does waits in the host, so nothing spins.
//!
//! The same code compiles natively, where [`testing`] calls it from plain `cargo test`:
//!
//! ```
//! # use wasmgate_sdk::Router;
//! # fn app() -> Router { Router::new().get("/hello", |_| "Hello from Wasmgate!\n") }
//! use wasmgate_sdk::{Request, testing};
//!
//! let reply = testing::call(&app(), Request::get("/hello"));
//! assert_eq!((reply.status().as_u16(), reply.text()), (200, "Hello from Wasmgate!\n"));
//! ```
//!
//! # Features
//!
//! | feature | default | what it has |
//! |---|---|---|
//! | `dapr` | on | [`dapr`]: Dapr's building blocks, and deliveries from them |
//! | `testing` | on | [`testing`]: calls of a router, and stand-ins for what is outside, from `cargo test` |
//! | `anyhow` | on | handlers that return `anyhow::Result` |
//! | `wasip3` | off | components of WASI 0.3 in place of 0.2, of the same source: a choice for a whole build |
//!
//! None of them costs a component that does not use it anything.
#![cfg_attr(
    not(all(feature = "dapr", feature = "testing")),
    allow(
        dead_code,
        unused_imports,
        reason = "what only these features use is small, and marked nowhere"
    )
)]

mod answer;
mod body;
pub mod client;
mod cookies;
#[cfg(feature = "dapr")]
pub mod dapr;
mod error;
mod events;
mod fields;
pub mod files;
mod frozen_map;
mod host;
mod into_response;
mod json_path;
pub mod layer;
pub mod marker;
mod multipart;
mod params;
mod pattern;
mod percent;
mod precondition;
mod request;
mod response;
mod router;
mod start_up;
mod stream;
#[cfg(all(feature = "testing", not(target_family = "wasm")))]
pub mod testing;
mod threads;
pub mod time;
mod written;

pub use answer::{Answer, IntoAnswer};
pub use body::{Body, BodyError, DEFAULT_BODY_LIMIT};
pub use bytes::Bytes;
pub use cookies::{SameSite, SetCookie};
pub use error::{Error, OpaqueError};
pub use events::{Event, EventWriter};
#[doc(inline)]
pub use files::files;
pub use frozen_map::FrozenMap;
pub use http::{self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
pub use into_response::{Html, IntoHeaders, IntoResponse, Json, Redirect};
pub use layer::Next;
pub use multipart::{Multipart, Part};
pub use percent::percent_encode;
pub use precondition::IfMatch;
pub use request::Request;
pub use response::Response;
pub use router::Router;
pub use stream::BodyWriter;

/// Exports a function that builds a [`Router`] as the package's `wasi:http/incoming-handler`, or with the feature
/// `wasip3` as its `wasi:http/handler`.
///
/// Compiled natively it exports nothing, so that the same crate can be tested.
///
/// ```
/// # use wasmgate_sdk::{Router, serve};
/// fn app() -> Router {
///     Router::new().get("/", |_| "home")
/// }
///
/// serve!(app);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! serve {
    ($app:path) => {
        const _: () = {
            const APP: fn() -> $crate::Router = $app;
            $crate::__export!(APP);
        };
    };
}

/// One line on stderr, which is the gateway's log, in one write so that it stays one event.
fn log(message: &str) {
    use std::io::Write;

    // Nobody is left to tell when stderr is gone.
    let _ = std::io::stderr().write_all(format!("{message}\n").as_bytes());
}

/// For the expansion of [`init!`] only.
#[doc(hidden)]
pub mod __private_init {
    pub use crate::start_up::Keep;
    #[cfg(target_family = "wasm")]
    pub use crate::start_up::{WORLD, WORLD_BYTES};
}

/// For the expansion of [`serve!`] only.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod __private {
    pub use crate::host::serve;
    #[cfg(not(feature = "wasip3"))]
    pub use wasip2;
    #[cfg(feature = "wasip3")]
    pub use wasip3;
}

/// Exports the handler of WASI 0.3.
#[cfg(all(target_family = "wasm", feature = "wasip3"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($app:ident) => {
        struct Package;

        impl $crate::__private::wasip3::exports::http::handler::Guest for Package {
            async fn handle(
                request: $crate::__private::wasip3::http::types::Request,
            ) -> Result<
                $crate::__private::wasip3::http::types::Response,
                $crate::__private::wasip3::http::types::ErrorCode,
            > {
                $crate::__private::serve($app, request).await
            }
        }

        $crate::__private::wasip3::http::service::export!(Package);
    };
}

/// Exports the handler.
#[cfg(all(target_family = "wasm", not(feature = "wasip3")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($app:ident) => {
        struct Package;

        impl $crate::__private::wasip2::exports::http::incoming_handler::Guest for Package {
            fn handle(
                request: $crate::__private::wasip2::http::types::IncomingRequest,
                outparam: $crate::__private::wasip2::http::types::ResponseOutparam,
            ) {
                $crate::__private::serve($app, request, outparam);
            }
        }

        $crate::__private::wasip2::http::proxy::export!(Package);
    };
}

/// There is no host to export to; the function counts as used.
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($app:ident) => {
        let _ = $app;
    };
}

/// The guide's examples, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Guide;

/// Those of the front page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;

/// The guide's page of that name.
#[cfg(doctest)]
#[doc = include_str!("../../apps/guide/cron.md")]
struct Cron;

/// The guide's page of that name.
#[cfg(doctest)]
#[doc = include_str!("../../apps/guide/events.md")]
struct Events;

/// The guide's page of that name.
#[cfg(doctest)]
#[doc = include_str!("../../apps/guide/routing.md")]
struct Routing;

/// The guide's page of that name.
#[cfg(doctest)]
#[doc = include_str!("../../apps/guide/secrets.md")]
struct Secrets;

/// The guide's page of that name.
#[cfg(doctest)]
#[doc = include_str!("../../apps/guide/spin.md")]
struct Spin;

/// The guide's page of that name.
#[cfg(doctest)]
#[doc = include_str!("../../apps/guide/state.md")]
struct State;

/// The guide's page of that name.
#[cfg(doctest)]
#[doc = include_str!("../../apps/guide/testing.md")]
struct Testing;
