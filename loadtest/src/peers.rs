//! Servers started by this tool: found, started, awaited, ended.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::target::Target;

/// Registering thousands of packages takes minutes; a server that is not up
/// by then is taken as hung.
const START_LIMIT: Duration = Duration::from_secs(600);
/// A server that was asked to end and has not after this long is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Lines of a server's output kept for the message when it fails.
const KEPT_LINES: usize = 30;
/// The interval at which a server that is being waited for is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The hidden subcommand that ties a child to this process.
pub const LEASH: &str = "leash";

/// A reason why a server is not there to be measured.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// There is no such program.
    #[error("{name} is not there: {looked}; {remedy}")]
    NotFound {
        /// The program.
        name: &'static str,
        /// The places looked at.
        looked: String,
        /// The way to get it.
        remedy: &'static str,
    },
    /// It could not be started.
    #[error("{name} could not be started: {error}")]
    Start {
        /// The program.
        name: String,
        /// The system's error.
        error: io::Error,
    },
    /// It ended before it listened.
    #[error("{name} ended before it listened; its last words:\n{log}")]
    Ended {
        /// The program.
        name: String,
        /// Its last words.
        log: String,
    },
    /// It did not listen in time.
    #[error("{name} did not listen within {START_LIMIT:?}; its last words:\n{log}")]
    Silent {
        /// The program.
        name: String,
        /// Its last words.
        log: String,
    },
}

/// A running server, ended when dropped.
#[derive(Debug)]
pub struct Peer {
    /// The name in reports.
    pub name: String,
    /// The address that it listens on.
    pub target: Target,
    child: Child,
}

/// A program to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The name in reports.
    pub name: String,
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The folder to start it in: a server finds its configuration there.
    pub directory: Option<PathBuf>,
}

impl Launch {
    /// Starts the server and waits until it says where it listens, on either
    /// of its outputs. `this` is this tool's own program, which starts the
    /// server so that it ends with it even when this process is killed.
    ///
    /// # Errors
    /// When it cannot be started, ends, or stays silent.
    pub fn start(&self, this: &Path) -> Result<Peer, PeerError> {
        let mut command = Command::new(this);
        command.arg(LEASH).arg(&self.program).args(&self.arguments);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| PeerError::Start {
                name: self.name.clone(),
                error,
            })?;
        let log = Log::default();
        let (found, addresses) = mpsc::channel();
        watch(child.stdout.take(), &log, found.clone());
        watch(child.stderr.take(), &log, found);
        let started = Instant::now();
        let address = loop {
            match addresses.recv_timeout(POLL_INTERVAL) {
                Ok(address) => break Ok(address),
                Err(mpsc::RecvTimeoutError::Timeout) if started.elapsed() < START_LIMIT => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    break Err(PeerError::Silent {
                        name: self.name.clone(),
                        log: log.text(),
                    });
                }
                // Both outputs are closed.
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    break Err(PeerError::Ended {
                        name: self.name.clone(),
                        log: log.text(),
                    });
                }
            }
        };
        match address {
            Ok(address) => Ok(Peer {
                name: self.name.clone(),
                target: Target::from(address),
                child,
            }),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }
}

impl Peer {
    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Becomes the given program, which the kernel kills when the process that
/// started this one ends: no server outlives a measurement.
///
/// # Errors
/// Only returns when the program could not be started.
pub fn become_leashed(program: &OsString, arguments: &[OsString]) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    let error = Command::new(program).args(arguments).exec();
    io::Error::new(
        error.kind(),
        format!("{}: {error}", program.to_string_lossy()),
    )
}

/// The program of this name: as given, else beside this tool, else on `PATH`.
///
/// # Errors
/// Says where it was looked for and what to do.
pub fn find(name: &'static str, given: Option<&Path>, this: &Path, remedy: &'static str) -> Result<PathBuf, PeerError> {
    let not_found = |looked: String| PeerError::NotFound {
        name,
        looked,
        remedy,
    };
    if let Some(given) = given {
        let found = given.is_file().then(|| given.canonicalize().ok()).flatten();
        return found.ok_or_else(|| not_found(format!("{} is not a file", given.display())));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = this.parent().map(Path::to_owned);
    beside
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| not_found("neither beside this tool nor on PATH".to_owned()))
}

fn end(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    let asked = Instant::now();
    while asked.elapsed() < STOP_LIMIT {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(POLL_INTERVAL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The last lines of a server's outputs.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("  {line}\n")).collect()
    }
}

/// Reads an output to its end, so that the server never blocks on it, and
/// reports the first address in it.
fn watch(output: Option<impl Read + Send + 'static>, log: &Log, found: mpsc::Sender<SocketAddr>) {
    let Some(output) = output else { return };
    let log = log.clone();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(address) = address_in(&line) {
                // Only the first is waited for.
                let _ = found.send(address);
            }
            log.push(line);
        }
    });
}

/// The address in `listening on http://127.0.0.1:3000` and the like.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (before, address) = line.split_once("http://")?;
    if before.contains("admin") {
        return None;
    }
    let end = address
        .find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c)))
        .unwrap_or(address.len());
    address.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_what_servers_print() {
        let local = "127.0.0.1:3000".parse().ok();
        assert_eq!(address_in("listening on http://127.0.0.1:3000"), local);
        assert_eq!(address_in("Serving HTTP on http://127.0.0.1:3000/"), local);
        assert_eq!(address_in("admin on http://127.0.0.1:9090"), None);
        assert_eq!(address_in("listening"), None);
    }

    #[test]
    fn a_missing_program_says_where_it_was_looked_for() {
        let this = Path::new("/nowhere/tool");
        let error = find("no-such-server", None, this, "build it").unwrap_err();
        assert!(error.to_string().contains("build it"), "{error}");
        let given = Path::new("/nowhere/server");
        let error = find("server", Some(given), this, "build it").unwrap_err();
        assert!(error.to_string().contains("/nowhere/server"), "{error}");
    }
}
