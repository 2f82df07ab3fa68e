//! The commands, a file each; here is what they share.

mod check;
mod compile;
mod exit;
mod parked;
mod routes;
mod up;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use wasmgate::{
    bootstrap,
    config::{self, Config},
};

pub(crate) use exit::{Exit, USAGE};

/// A serverless HTTP platform: HTTP routes to Wasm components, a fresh instance for every request.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve the routes of a configuration
    Up(up::Up),
    /// Check a configuration and its packages without listening
    Check(check::Check),
    /// Compile every package into the cache directory, so that a start compiles nothing
    Compile(compile::Compile),
    /// Print the table of routes
    Routes(routes::Routes),
    /// Handle events of a running gateway that nothing will deliver by itself
    #[command(subcommand)]
    Parked(parked::Parked),
}

impl Command {
    /// Does what was asked for.
    ///
    /// # Errors
    /// With what to say and the code to exit with.
    pub(crate) fn run(self) -> Result<ExitCode, Exit> {
        match self {
            Self::Up(up) => up.run(),
            Self::Check(check) => check.run(),
            Self::Compile(compile) => compile.run(),
            Self::Routes(routes) => routes.run(),
            Self::Parked(parked) => parked.run(),
        }
    }
}

/// The configuration that a command is about.
#[derive(Args)]
struct File {
    /// The configuration
    #[arg(default_value = "wasmgate.toml")]
    file: PathBuf,
}

impl File {
    /// Reads and checks it, its packages too if anything is wrong, so that everything is reported at once.
    fn load(&self) -> Result<Config, Exit> {
        config::load(&self.file).map_err(|rejected| Exit::usage(bootstrap::all_mistakes(rejected).to_string()))
    }
}

/// A number of things, each called `thing`.
fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Prints what a user asked to see on standard output; whoever closed it does not want it.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
