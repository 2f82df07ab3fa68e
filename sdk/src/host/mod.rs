//! The one room that knows where the code runs: in a `wasi:http` host, or natively under test.
//!
//! Both ends offer the same names: [`Incoming`] (the rest of a request), [`Source`] and [`Sink`]
//! (bodies in and out), [`send`] (a call outward), [`sleep`], [`random`] and [`environment`].

#[cfg(target_family = "wasm")]
mod wasi;
#[cfg(target_family = "wasm")]
pub use wasi::*;

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(not(target_family = "wasm"))]
pub(crate) use native::*;
