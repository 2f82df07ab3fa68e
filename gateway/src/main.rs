//! `wasmgate`: arguments, logging, exit codes; what a command does is in `cli/`.

mod cli;

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::Parser as _;
use tracing_subscriber::{EnvFilter, fmt::writer::BoxMakeWriter};
use wasmgate::{bootstrap, log::Log, request_log};

use cli::{Arguments, USAGE};

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The filter of the log unless RUST_LOG says otherwise.
const LOG_FILTER: &str = "info";

fn main() -> ExitCode {
    if let Some(code) = bootstrap::compiler_process(std::env::args_os()) {
        return code;
    }
    bootstrap::compile_in_processes_of(own_program());
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
    let ended = arguments.command.run();
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

/// This program; where the system tells, also if another file has taken its place since it was started.
fn own_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    std::env::current_exe().unwrap_or_else(|_| "wasmgate".into())
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
    let is_terminal = std::io::stderr().is_terminal();
    if let Some(queue) = &queue {
        request_log::start(queue.clone(), is_terminal);
    }
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    if is_terminal {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
    queue
}
