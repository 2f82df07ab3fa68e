//! Load for Wasmgate and its peers.
//!
//! A [`plan::Plan`] says how much and how long, a [`workload::Workload`] what
//! is asked and which answer is right, [`client::drive`] runs it against a
//! [`target::Target`] (this machine only) and returns a
//! [`stats::Measurement`]. [`scenario`] holds the loads with a name,
//! [`compare`] runs several servers side by side.

pub mod cli;
pub mod client;
pub mod compare;
pub mod confidence;
pub mod gateway;
pub mod native;
pub mod peers;
pub mod plan;
pub mod proc;
pub mod progress;
pub mod report;
pub mod scenario;
pub mod stats;
pub mod target;
pub mod workload;
