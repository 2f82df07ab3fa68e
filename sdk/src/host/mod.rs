//! The one room that knows where the code runs: in a `wasi:http` host of WASI 0.2 or 0.3, or natively under test.
//!
//! All of them offer the same names: [`Incoming`] (the rest of a request), [`Source`] and [`Sink`]
//! (bodies in and out), [`send`] (a call outward), [`sleep`], [`random`] and [`environment`].

#[cfg(target_family = "wasm")]
mod failure;
#[cfg(target_family = "wasm")]
mod fields;
#[cfg(target_family = "wasm")]
mod method;
#[cfg(target_family = "wasm")]
mod upload;

#[cfg(all(target_family = "wasm", not(feature = "wasip3")))]
mod wasi;
#[cfg(all(target_family = "wasm", not(feature = "wasip3")))]
pub use wasi::*;

#[cfg(all(target_family = "wasm", feature = "wasip3"))]
mod wasi3;
#[cfg(all(target_family = "wasm", feature = "wasip3"))]
pub use wasi3::*;

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(not(target_family = "wasm"))]
pub(crate) use native::*;
