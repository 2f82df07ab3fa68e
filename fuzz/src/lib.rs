//! Fuzz targets for all that reads what strangers write.
//!
//! A target takes any bytes and panics on a finding: a panic below it, or a promise that is not kept. Inputs are text
//! that a person can read and write, so that a finding becomes a seed. `make fuzz` looks for new ones with libFuzzer;
//! `cargo test` replays the seeds, and seeds with small changes.

mod blocks;
mod config;
mod input;
mod limits;
mod orders;
mod paths;

pub use blocks::{calls, components, envelope, operation, rules, schedule};
pub use config::{config, routes};
pub use limits::rates;
pub use orders::orders;
pub use paths::target;

/// A target: it panics on a finding.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its folder of seeds.
pub const TARGETS: [(&str, Target); 11] = [
    ("config", config),
    ("components", components),
    ("routes", routes),
    ("target", target),
    ("rules", rules),
    ("schedule", schedule),
    ("envelope", envelope),
    ("operation", operation),
    ("calls", calls),
    ("rates", rates),
    ("orders", orders),
];
