//! `wasmgate`: arguments, logging, exit codes.

mod parked;

use std::{
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::{EnvFilter, fmt::writer::BoxMakeWriter};
use wasmgate::{
    admin::client::CallError,
    bootstrap::{self, Ended, StartError},
    config::{self, Config},
    log::Log,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command line or the configuration is wrong (`EX_USAGE` in sysexits.h).
const USAGE: u8 = 64;
/// An address is taken (`EX_UNAVAILABLE`).
const UNAVAILABLE: u8 = 69;
/// The machine does not give what is needed (`EX_OSERR`).
const OS_ERROR: u8 = 71;
/// A file cannot be made (`EX_CANTCREAT`).
const CANNOT_CREATE: u8 = 73;

/// A file cannot be used as it is (`EX_IOERR`).
const IO_ERROR: u8 = 74;

/// A running gateway does not do what is asked of it (`EX_NOPERM`).
const REFUSED: u8 = 77;

/// The filter of the log unless RUST_LOG says otherwise.
const LOG_FILTER: &str = "info";

/// A serverless HTTP platform: HTTP routes to Wasm components, a fresh instance for every request.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the routes of a configuration
    Up {
        #[command(flatten)]
        file: File,
        /// Listen here instead of `[server] listen`; port 0 lets the system choose
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
        /// Serve metrics and health here instead of `[server] admin`
        #[arg(long, value_name = "ADDRESS")]
        admin: Option<SocketAddr>,
    },
    /// Check a configuration and its packages without listening
    Check(File),
    /// Compile every package into the cache directory, so that a start compiles nothing
    Compile(File),
    /// Print the table of routes
    Routes(File),
    /// Handle events of a running gateway that nothing will deliver by itself
    #[command(subcommand)]
    Parked(parked::Parked),
}

#[derive(Args)]
struct File {
    /// The configuration
    #[arg(default_value = "wasmgate.toml")]
    file: PathBuf,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
            let _ = error.print();
            return code;
        }
    };
    let log = start_logging();
    let ended = run(arguments.command);
    if let Some(log) = log {
        log.close();
    }
    match ended {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Exit> {
    match command {
        Command::Up {
            file,
            listen,
            admin,
        } => {
            let mut config = load(&file)?;
            config.server.listen = listen.unwrap_or(config.server.listen);
            config.server.admin = admin.unwrap_or(config.server.admin);
            let table = config::table(&config);
            let ended = bootstrap::up(config, |addresses| {
                let dapr = addresses
                    .dapr
                    .map(|address| format!("dapr on {}\n", url(address)));
                let dapr = dapr.unwrap_or_default();
                print(&format!(
                    "listening on {}\nadmin on {}\n{dapr}\n{table}",
                    url(addresses.listen),
                    url(addresses.admin)
                ));
            })?;
            Ok(match ended {
                Ended::Drained => ExitCode::SUCCESS,
                Ended::Cut => ExitCode::FAILURE,
            })
        }
        Command::Check(file) => {
            let config = load(&file)?;
            let registered = bootstrap::check(&config)?;
            for (package, registered) in config.packages.iter().zip(&registered) {
                print(&format!(
                    "{} runs in engine {}\n",
                    package.name, registered.choice
                ));
            }
            for caveat in bootstrap::caveats(&config) {
                print(&format!("note: {caveat}\n"));
            }
            print(&format!(
                "{}: {} and {} are right\n",
                file.file.display(),
                counted(config.packages.len(), "package"),
                counted(config.routes.len(), "route")
            ));
            Ok(ExitCode::SUCCESS)
        }
        Command::Compile(file) => {
            let config = load(&file)?;
            let compiled = counted(bootstrap::check(&config)?.len(), "package");
            print(&format!(
                "compiled in {}: {compiled}\n",
                config.server.cache.display()
            ));
            Ok(ExitCode::SUCCESS)
        }
        Command::Routes(file) => {
            print(&config::table(&load(&file)?));
            Ok(ExitCode::SUCCESS)
        }
        Command::Parked(parked) => {
            print(&operate(parked)?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// An address as a client would write it.
fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A number of things, each called `thing`.
fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Has a running gateway do what an operator wants.
fn operate(parked: parked::Parked) -> Result<String, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit {
            code: OS_ERROR,
            message: format!("error: {error}"),
        })?;
    runtime.block_on(parked.run()).map_err(|error| Exit {
        code: match error {
            CallError::Unreachable { .. } | CallError::Broken(_) => UNAVAILABLE,
            CallError::Refused { .. } => REFUSED,
        },
        message: format!("error: {error}"),
    })
}

fn load(file: &File) -> Result<Config, Exit> {
    config::load(&file.file).map_err(|rejected| Exit {
        code: USAGE,
        message: bootstrap::all_mistakes(rejected).to_string(),
    })
}

/// Prints what a user asked to see on standard output; whoever closed it does not want it.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// For people on a terminal, for machines otherwise; on standard error, so that output stays output.
///
/// Nobody who logs waits for whoever reads it; the log that is answered has its last lines to write at the end.
fn start_logging() -> Option<Log> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG_FILTER));
    let queue = Log::start(std::io::stderr()).ok();
    let writer = match queue.clone() {
        Some(queue) => BoxMakeWriter::new(queue),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    if std::io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
    queue
}

/// The end of the process, with its code.
struct Exit {
    code: u8,
    message: String,
}

impl From<StartError> for Exit {
    fn from(error: StartError) -> Self {
        let code = match &error {
            StartError::Packages(_) => USAGE,
            StartError::Data(_) => IO_ERROR,
            StartError::Cache(_) => CANNOT_CREATE,
            StartError::Listen(_) => UNAVAILABLE,
            StartError::Machine(_) => OS_ERROR,
        };
        Self {
            code,
            message: format!("error: {error}"),
        }
    }
}
