//! Wasmgate: HTTP routes to Wasm components, a fresh instance for every request.
//!
//! The path of a request, in the order of these modules: a worker in [`server`] accepts it, [`gateway`] finds its
//! route, admits it and runs it in [`instance`], whose requests to others pass [`egress`]. [`start`] puts it all
//! together from a checked [`config`].

pub mod admin;
pub mod admission;
pub mod blocks;
pub mod config;
pub mod egress;
pub mod engine;
pub mod error;
pub mod gateway;
pub mod identity;
pub mod instance;
pub mod invalid;
pub mod package;
pub mod routes;
pub mod server;
pub mod start;
pub mod target;
