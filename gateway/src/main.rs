//! `wasmgate`: arguments, logging, exit codes; the commands are in `cli/`.

mod cli;

use std::{fs::File, io::IsTerminal as _, os::unix::fs::MetadataExt as _, path::PathBuf, process::ExitCode};

use tracing_subscriber::{EnvFilter, fmt::writer::BoxMakeWriter};
use wasmgate::{bootstrap, log::Log, request_log};

use cli::{Arguments, USAGE};

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The filter of the log unless RUST_LOG says otherwise: libraries speak of their failures alone. What they warn of is
/// what guests and clients make them do, as often as these wish and without a word about whom; where it concerns a user
/// we tell it.
const LOG_FILTER: &str = "error,wasmgate=info,guest=info,request=info";

fn main() -> ExitCode {
    if let Some(code) = bootstrap::compiler_process(std::env::args_os()) {
        return code;
    }
    let program = own_program();
    let is_emulated = program.is_none();
    if let Some(program) = program {
        bootstrap::compile_in_processes_of(program);
    }
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => {
            if error.use_stderr() {
                let _ = error.print();
                return ExitCode::from(USAGE);
            }
            // The help and the version, which were asked for.
            return match cli::printed(error.print()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => failure.told(),
            };
        }
    };
    let log = start_logging();
    if is_emulated {
        tracing::warn!(
            "the processor is emulated, and components are compiled without `compile_timeout` and `compile_memory`"
        );
    }
    let ended = arguments.command.run();
    if let Some(log) = log {
        log.close();
    }
    match ended {
        Ok(code) => code,
        Err(failure) => failure.told(),
    }
}

/// This program; where the system tells, also if another file has taken its place since it was started. `None` if an
/// emulator runs it (QEMU's user mode), which to the system is the program, and cannot be told to run another one.
fn own_program() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        return Some(std::env::current_exe().unwrap_or_else(|_| "wasmgate".into()));
    }
    let own = PathBuf::from("/proc/self/exe");
    // An emulator opens what it runs, and looks at itself.
    let opened = File::open(&own).and_then(|file| file.metadata());
    let is_same = match (opened, own.metadata()) {
        (Ok(opened), Ok(seen)) => (opened.dev(), opened.ino()) == (seen.dev(), seen.ino()),
        _ => true,
    };
    is_same.then_some(own)
}

/// For people on a terminal, for machines otherwise; on standard error, so that output stays output.
///
/// Nobody who logs waits for whoever reads it; the log that is answered has its last lines to write at the end.
fn start_logging() -> Option<Log> {
    let said = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let (filter, wrong) = match EnvFilter::try_new(&said) {
        Ok(filter) if !said.is_empty() => (filter, None),
        Ok(_) => (EnvFilter::new(LOG_FILTER), None),
        Err(error) => (EnvFilter::new(LOG_FILTER), Some(error)),
    };
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
    if let Some(error) = wrong {
        tracing::warn!(%error, "RUST_LOG is not heeded; write a level, or targets with theirs: RUST_LOG=guest=info,wasmgate=debug");
    }
    queue
}
