//! Wasmgate: HTTP routes to Wasm components.

pub mod config;
pub mod invalid;
pub mod routes;
