//! Short loads against real servers on loopback.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod harness;
mod load;
mod named;
mod program;
mod stall;
