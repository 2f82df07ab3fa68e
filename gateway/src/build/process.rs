//! One run of a command by a shell, in a process group of its own, so that it can be ended with all its children.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    os::{
        fd::AsFd as _,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::BuildFailure;

/// The time between being told to end and being ended, in which a tool may remove what it has half written.
const GRACE: Duration = Duration::from_secs(2);

/// The time between two looks whether all of them have.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The time in which the last lines of an ended command are read. What it has left running may hold its outputs open.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The longest line of output that is shown in one piece, in bytes.
const MAX_LINE: u64 = 64 << 10;

/// The codes of a shell for a program that may not be run and one that is not there, and the one above which it was
/// killed (POSIX, Shell Command Language, 2.8.2).
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
const KILLED: i32 = 128;

/// The highest number of a signal (signal(7)).
const LAST_SIGNAL: i32 = 64;

/// What is to be run.
pub(super) struct Order<'a> {
    pub(super) command: &'a str,
    pub(super) folder: &'a Path,
    pub(super) timeout: Duration,
    /// The beginning of each line of its output; without it the output is the process' own standard error.
    pub(super) prefix: Option<String>,
}

/// Runs it to its end, or ends it: after its time, when it is told to `stop`, or when this future is dropped.
pub(super) async fn run(order: Order<'_>, stop: &CancellationToken) -> Result<(), BuildFailure> {
    if stop.is_cancelled() {
        return Err(BuildFailure::Stopped);
    }
    if !order.folder.is_dir() {
        let folder = order.folder.to_owned();
        return Err(BuildFailure::NoFolder { folder });
    }
    let not_started = |error: io::Error| BuildFailure::NotStarted {
        error: error.to_string(),
    };
    let (mut group, readers) = start(&order).map_err(not_started)?;
    let ended = tokio::select! {
        ended = timeout(order.timeout, group.ended()) => match ended {
            Ok(status) => status.map_err(not_started).and_then(|status| judge(status, order.command)),
            Err(_) => Err(BuildFailure::TimedOut { limit: order.timeout }),
        },
        () = stop.cancelled() => Err(BuildFailure::Stopped),
    };
    if matches!(
        ended,
        Err(BuildFailure::TimedOut { .. } | BuildFailure::Stopped)
    ) {
        group.end().await;
    }
    let last_lines = async {
        for reader in readers {
            let _ = reader.await;
        }
    };
    let _ = timeout(LAST_LINES, last_lines).await;
    ended
}

fn start(order: &Order<'_>) -> io::Result<(Group, Vec<oneshot::Receiver<()>>)> {
    let mut command = Command::new("sh");
    command
        .args(["-c", order.command])
        .current_dir(order.folder)
        // It is in the background of its terminal, which would stop it for ever when it reads.
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(path) = path() {
        command.env("PATH", path);
    }
    if order.prefix.is_some() {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    } else {
        let shown = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
        command.stdout(shown()?).stderr(shown()?);
    }
    let mut child = command.spawn()?;
    let outputs = [
        child.stdout.take().map(|output| Box::new(output) as Output),
        child.stderr.take().map(|output| Box::new(output) as Output),
    ];
    let prefix = order.prefix.clone().unwrap_or_default();
    let outputs = outputs.into_iter().flatten();
    let readers = outputs.map(|output| show(output, prefix.clone()));
    Ok((Group::new(child), readers.collect()))
}

/// Where a shell looks for programs, and behind it the folder of this one: a build may need `wasmgate componentize`.
fn path() -> Option<OsString> {
    let own = env::current_exe().ok()?;
    let path = env::var_os("PATH")?;
    let folders = env::split_paths(&path).chain(own.parent().map(Path::to_owned));
    env::join_paths(folders).ok()
}

type Output = Box<dyn Read + Send>;

/// Shows each line of an output behind a prefix; the receiver hears of its end.
///
/// On a thread that nobody waits for at the end of the process: what was left running may never close the output.
fn show(output: Output, prefix: String) -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while let Ok(1..) = output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line);
            let shown = format!("{prefix} | {}\n", text.trim_end_matches(['\r', '\n']));
            let _ = io::stderr().lock().write_all(shown.as_bytes());
            line.clear();
        }
        let _ = ended.send(());
    });
    end
}

/// What the end of a shell means.
fn judge(status: ExitStatus, command: &str) -> Result<(), BuildFailure> {
    let command = || command.to_owned();
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(NOT_EXECUTABLE), _) => Err(BuildFailure::NotExecutable { command: command() }),
        (Some(NOT_FOUND), _) => Err(BuildFailure::NotFound { command: command() }),
        // It was a child of the shell's that was killed.
        (Some(code), _) if (KILLED + 1..=KILLED + LAST_SIGNAL).contains(&code) => Err(BuildFailure::Killed {
            signal: code - KILLED,
        }),
        (Some(code), _) => Err(BuildFailure::Failed { code }),
        (None, signal) => Err(BuildFailure::Killed {
            signal: signal.unwrap_or_default(),
        }),
    }
}

/// A process and all that it starts, which ends with this value.
struct Group {
    child: Child,
    has_ended: bool,
}

impl Group {
    fn new(child: Child) -> Self {
        Self {
            child,
            has_ended: false,
        }
    }

    /// Waits for the first process of it.
    async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.wait_beside().await?;
        let status = self.child.wait();
        self.has_ended = true;
        status
    }

    /// Waits without taking the process' number away, which is the group's too.
    async fn wait_beside(&self) -> io::Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let waited = tokio::task::spawn_blocking(move || {
            let told = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // What became of it has a pointer on some systems, and is not sent.
            waitid(WaitId::Pid(pid), told).map(drop)
        });
        waited.await.map_err(io::Error::other)??;
        Ok(())
    }

    /// Tells all of it to end, and ends what does not.
    async fn end(&mut self) {
        self.send(Signal::TERM);
        let all_gone = async {
            let _ = self.ended().await;
            // The shell may go before what it has started.
            while self.is_there() {
                sleep(LOOK_AGAIN).await;
            }
        };
        if timeout(GRACE, all_gone).await.is_err() {
            self.send(Signal::KILL);
        }
        self.kill();
    }

    fn kill(&mut self) {
        if !self.has_ended {
            self.send(Signal::KILL);
            let _ = self.child.wait();
            self.has_ended = true;
        }
    }

    fn send(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill_process_group(pid, signal);
        }
    }

    fn is_there(&self) -> bool {
        self.pid()
            .is_some_and(|pid| test_kill_process_group(pid).is_ok())
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
