//! The building blocks as apps see them: the same scenarios in process, over TCP, and, when
//! `DAPR_HTTP_ENDPOINT` is set, against a real sidecar.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod harness;

mod bad_disk;
mod bad_input;
mod bindings;
mod components;
mod configuration;
mod durability;
mod events;
mod grants;
mod invoke;
mod jobs;
mod js;
mod locks;
mod meta;
mod parked;
mod pubsub;
mod rules;
mod secrets;
mod sidecar;
mod state;
