//! The building blocks as apps see them: the same scenarios in process, over TCP, through
//! the client of a sidecar, and beside a real Dapr where `make test-dapr-sidecar` runs them.

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
mod beside_dapr;
mod bindings;
mod components;
mod configuration;
mod data_files;
mod differential;
mod durability;
mod events;
mod grants;
mod hostile;
mod invoke;
mod jobs;
mod js;
mod locks;
mod meta;
mod outside;
mod parked;
mod pubsub;
mod quotas;
mod resiliency;
mod rules;
mod secrets;
mod sidecar;
mod state;
