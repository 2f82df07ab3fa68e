//! Load for Wasmgate and its peers.
//!
//! A [`plan::Plan`] says how much and how long, a [`workload::Workload`] what
//! is asked and which answer is right, [`client::drive`] runs it against a
//! [`target::Target`] (this machine only) and returns a
//! [`stats::Measurement`]. `scenario` holds the loads with a name, `compare` runs several servers side by side, and
//! [`run`] is the program.

mod cli;
pub mod client;
mod compare;
mod confidence;
mod gateway;
mod languages;
mod native;
pub mod peers;
pub mod plan;
mod proc;
pub mod progress;
mod report;
mod scenario;
pub mod stats;
pub mod target;
pub mod workload;

use anyhow::Context as _;
use clap::Parser as _;

use cli::{Cli, Command};

/// Runs the program, as its command line says.
///
/// # Errors
/// When a server cannot be started, or a load not be run or written down; the error says which.
pub fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(arguments) => scenario::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Languages(arguments) => languages::run(&arguments),
        Command::Native(arguments) => {
            native::serve(arguments.listen, arguments.runtime, &arguments.hello).context("the native server")
        }
        Command::Leash { program, arguments } => Err(peers::become_leashed(&program, &arguments).into()),
    }
}
