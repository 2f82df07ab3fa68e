//! The gateway from outside: the real binary on free ports, real HTTP, one module a behaviour.
//!
//! Run with `cargo test -p wasmgate --test it`; the guests (package `wasmgate-test-guests`) are
//! built by the harness when a test first needs one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails, in its helpers as well"
)]

mod harness;

mod admin;
mod alerts;
mod axum_apps;
mod backup;
mod beside_dapr;
mod blobs;
mod building;
mod cache;
mod cgi;
mod closed_world;
mod coffee_shop;
mod compiled_cache;
mod compiling;
mod componentizing;
mod connections;
mod control_group;
mod dapr_blocks;
mod dapr_callbacks;
mod dapr_crash;
mod dapr_etags;
mod dapr_files;
mod dapr_grants;
mod dapr_listener;
mod dapr_mistakes;
mod dapr_outside;
mod dapr_quotas;
mod dapr_sidecar;
mod dapr_state;
mod dapr_trace;
mod data_wait;
mod deploying;
mod drain;
mod early_answers;
mod engines;
mod event_streams;
mod failures;
mod first_steps;
mod floods;
mod guest_answers;
mod guest_logs;
mod h2spec;
mod heads;
mod identity;
mod import_circles;
mod instance_memory;
mod isolation;
mod keyvalue;
mod limits;
mod lost_code;
mod malformed_requests;
mod metrics_page;
mod mistakes;
mod mounts;
mod new_projects;
mod no_content;
mod odd_memories;
mod odd_strings;
mod outbound;
mod outbound_failures;
mod outbound_limits;
mod outbound_proxies;
mod outbound_tls;
mod packages;
mod parked;
mod ports;
mod promises;
mod rate_limits;
mod readiness;
mod registries;
mod release;
mod reload;
mod request_log;
mod routing;
mod sdk_worlds;
mod services;
mod serving;
mod slots;
mod slow_readers;
mod snapshots;
mod stacks;
mod streaming;
mod tls;
mod unfit_packages;
mod unmet;
mod wasi_config;
mod wasi_logging;
mod watching;
mod watching_by_hand;
mod watching_sources;
