//! Descriptor limits and signals of the process.

use std::{
    fs::File,
    io::{self, IsTerminal as _},
};

use rustix::{
    io::{Errno, fcntl_dupfd_cloexec},
    process::{Resource, Rlimit, Signal as Number, getrlimit, setrlimit},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The maximum that macOS accepts (setrlimit(2) there), whatever the hard limit.
const OPEN_MAX: u64 = 10_240;

/// Raises the limit on descriptors to the hard limit: connections and loaded packages need one each, and the soft limit
/// exists for programs that still use `select`.
pub(super) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let set = |current| setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    let most = limit.maximum.unwrap_or(u64::MAX).min(OPEN_MAX);
    if let Err(error) = set(limit.maximum).or_else(|_| set(Some(most))) {
        tracing::warn!(%error, "the limit on descriptors stays as it is");
    }
}

/// Warns about a limit on the address space: each instance reserves gigabytes of it and uses hardly any, so a limit
/// that seems ample can be too small for a single instance.
pub(super) fn tell_of_address_space() {
    if let Some(bytes) = getrlimit(Resource::As).current {
        tracing::warn!(
            bytes,
            "the address space of this process is limited, and instances may not be made for it; lift it (`ulimit -v \
             unlimited`, LimitAS=infinity) and limit memory by [server] memory or a control group"
        );
    }
}

/// Returns the number of descriptors that this process may have.
pub(super) fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The size to which the kernel's descriptor table is grown: the packages and connections of a fully used machine. It
/// takes eight bytes for each, as long as the process lives.
const EXPECTED_DESCRIPTORS: u64 = 65_536;

/// Grows the kernel's descriptor table now. It doubles whenever it is full, and in a multi-threaded process the thread
/// that needs the next descriptor then waits some milliseconds for an RCU grace period: that would be a request that
/// loads a package or opens a connection. Only Linux needs it.
pub(super) fn grow_descriptor_table() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let last = i32::try_from(limit.min(EXPECTED_DESCRIPTORS).saturating_sub(1)).unwrap_or(i32::MAX);
    // The table keeps its size when the high descriptor is closed.
    let grown = File::open("/dev/null").and_then(|any| {
        fcntl_dupfd_cloexec(&any, last)
            .map(drop)
            .map_err(io::Error::from)
    });
    if let Err(error) = grown {
        tracing::warn!(%error, "the table of descriptors grows as it is needed");
    }
}

/// Returns whether the process, or the machine, has no descriptor left.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errno = io::Error::raw_os_error(error).map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

/// SIGTERM, Ctrl-C and SIGHUP, one after the other.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Standard input, output or error is a terminal.
    has_terminal: bool,
    /// SIGXFSZ, for a file beyond `ulimit -f`: it would end the process; if it is handled, the write fails as on a full
    /// disk.
    _too_long: Signal,
}

/// The meaning of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Shut down.
    End,
    /// Reload.
    Reload,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            has_terminal: has_terminal(),
            _too_long: signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?,
        })
    }

    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hangup.recv() => self.hung_up(),
        }
    }

    /// SIGHUP reloads, unless it was sent because the terminal was closed. The kernel and the shell may both send that
    /// one: only the first counts.
    fn hung_up(&mut self) -> Told {
        if self.has_terminal && !has_terminal() {
            self.has_terminal = false;
            return Told::End;
        }
        Told::Reload
    }

    /// Waits for a shutdown signal; others are logged and ignored meanwhile.
    pub(super) async fn end(&mut self, meanwhile: &str) {
        while self.next().await != Told::End {
            tracing::warn!("nothing is reloaded by SIGHUP: the gateway {meanwhile}");
        }
    }
}

fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}
