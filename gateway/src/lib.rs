//! Wasmgate: routes HTTP requests to Wasm components, with a fresh instance for every request.
//!
//! The path of a request: a worker in [`server`] accepts it; [`gateway`] finds its route, admits it and runs it in
//! [`instance`]; outgoing requests of guests go through [`egress`]. [`bootstrap`] builds all of it from a checked
//! [`config`].

#[cfg(not(all(unix, target_pointer_width = "64")))]
compile_error!(
    "the gateway runs on 64-bit Linux and macOS only; packages are built and tested anywhere, see README.md"
);

mod account;
mod address;
pub mod admin;
mod admission;
pub mod bootstrap;
pub mod build;
pub mod config;
mod content;
mod deliveries;
mod egress;
mod engine;
mod error;
pub mod gateway;
mod instance;
mod interfaces;
pub mod log;
mod machine_memory;
mod metrics;
mod package;
pub mod rate_limit;
pub mod registry;
mod request_headers;
pub mod request_log;
pub mod routes;
mod server;
pub mod target;
mod unsent;
