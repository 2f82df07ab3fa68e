//! The commands, one file each, and what they share.

mod backup;
mod build;
mod cache;
mod check;
mod compile;
mod complete;
mod componentize;
mod deploy;
mod exit;
mod file;
mod man;
mod new;
mod parked;
mod push;
mod routes;
mod schema;
mod status;
mod up;

use std::{
    io::{self, ErrorKind, Write as _},
    process::ExitCode,
};

use clap::{
    Parser, Subcommand,
    error::{ContextKind, ContextValue},
};
use http::uri::Authority;

pub(crate) use exit::{Exit, USAGE};
use file::File;

/// A serverless HTTP gateway for WebAssembly components, with a fresh instance for every request.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create a project: a folder with a configuration and a package
    New(new::New),
    /// Add a package to a project
    Add(new::Add),
    /// Run the packages' build commands and check the components
    Build(build::Build),
    /// Serve the routes of a configuration
    Up(up::Up),
    /// Check a configuration and its packages without listening
    Check(check::Check),
    /// Compile all packages into the cache directory, so that a start compiles nothing
    Compile(compile::Compile),
    /// Turn a WASI 0.1 core module, as Go and C compilers produce, into a component
    Componentize(componentize::Componentize),
    /// Manage the cache of compiled code and pulled components
    #[command(subcommand)]
    Cache(cache::Cache),
    /// Push a component to a registry
    Push(push::Push),
    /// Pull a component from a registry
    Pull(push::Pull),
    /// Render Kubernetes manifests or a Helm chart for a project
    Deploy(Box<deploy::Deploy>),
    /// Print the route table
    Routes(routes::Routes),
    /// Manage undeliverable events of a running gateway
    #[command(subcommand)]
    Parked(parked::Parked),
    /// Show what a running gateway serves, and the result of its last reload
    Status(status::Status),
    /// Reload the configuration of a running gateway, as SIGHUP does
    Reload(status::Status),
    /// Back up the embedded building blocks' data, also while a gateway serves it
    Backup(backup::Backup),
    /// Restore a backup, while no gateway serves the data
    Restore(backup::Restore),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Print shell completions
    Completions(complete::Completions),
    /// Print the manual page
    Man,
}

/// Names that other tools use for these commands.
const ELSEWHERE: [(&str, &str); 16] = [
    ("bundle", "build"),
    ("clean", "cache prune"),
    ("create", "new"),
    ("dev", "up --watch"),
    ("generate", "new"),
    ("info", "status"),
    ("init", "new"),
    ("lint", "check"),
    ("list", "status"),
    ("prune", "cache prune"),
    ("publish", "push"),
    ("run", "up"),
    ("serve", "up"),
    ("start", "up"),
    ("validate", "check"),
    ("watch", "up --watch"),
];

impl Arguments {
    /// Reads the command line.
    ///
    /// # Errors
    /// When it is invalid, or asks only for help.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        Self::try_parse().map_err(|mut error| {
            let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
                return error;
            };
            if let Some((_, command)) = ELSEWHERE.iter().find(|(other, _)| other == word) {
                let meant = ContextValue::Strings(vec![(*command).to_owned()]);
                error.insert(ContextKind::SuggestedSubcommand, meant);
            }
            error
        })
    }
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// With a message and an exit code.
    pub(crate) fn run(self) -> Result<ExitCode, Exit> {
        match self {
            Self::New(new) => new.run(),
            Self::Add(add) => add.run(),
            Self::Build(build) => build.run(),
            Self::Up(up) => up.run(),
            Self::Check(check) => check.run(),
            Self::Compile(compile) => compile.run(),
            Self::Componentize(componentize) => componentize.run(),
            Self::Cache(cache) => cache.run(),
            Self::Push(push) => push.run(),
            Self::Pull(pull) => pull.run(),
            Self::Deploy(deploy) => deploy.run(),
            Self::Routes(routes) => routes.run(),
            Self::Parked(parked) => parked.run(),
            Self::Status(status) => status.run(),
            Self::Reload(status) => status.reload(),
            Self::Backup(backup) => backup.run(),
            Self::Restore(restore) => restore.run(),
            Self::Schema => schema::run(),
            Self::Completions(completions) => completions.run(),
            Self::Man => man::run(),
        }
    }
}

/// The gateway's admin listener as people name it, as host and port.
fn admin_address(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text);
    let bare = bare.trim_end_matches('/');
    let named = bare
        .rsplit_once(':')
        .filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    let authority = bare.parse::<Authority>();
    match named.and(authority.ok()) {
        Some(authority) if authority.as_str() == bare && !bare.contains('@') => Ok(bare.to_owned()),
        _ => Err("write host and port: 127.0.0.1:9090; it speaks plain HTTP".to_owned()),
    }
}

/// A number of things, each called `thing`.
fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Prints what a user asked to see on standard output.
///
/// # Errors
/// Those of [`printed`].
fn print(text: &str) -> Result<(), Exit> {
    let mut out = std::io::stdout().lock();
    printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Takes what became of printing; whoever closed standard output does not want it.
///
/// # Errors
/// When it cannot be written for another reason, such as a file on a full disk: who reads that would take a part for
/// all.
pub(crate) fn printed(written: io::Result<()>) -> Result<(), Exit> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Exit::data(&format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Tells a user something on standard error, if it can be written.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
