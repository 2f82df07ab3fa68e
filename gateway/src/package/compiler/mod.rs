//! The compiler, as a separate process for each component: one that takes too long, takes too much memory or crashes
//! ends alone.
//!
//! The process is our own binary. It reads the component from standard input and writes the code to standard output,
//! both unlinked files in the cache's folder, so that a killed process leaves nothing behind.

mod child;
mod limits;
mod once;
mod task;

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::snapshot::{NoSnapshot, SnapshotLimits};
use once::Once;

pub use child::compiler_process;
pub(crate) use limits::CompileLimits;
pub(super) use task::Task;

/// The first argument of a compiler process.
const COMMAND: &str = "compile-component";

/// Its exit codes besides 0: the component is invalid (`EX_DATAERR` in sysexits.h), or the machine or the gateway
/// failed (`EX_OSERR`). The error is on standard error.
const WRONG: u8 = 65;
/// Exit code: its start-up failed (`EX_SOFTWARE`).
const NO_SNAPSHOT: u8 = 70;
const BROKEN: u8 = 71;

/// How much of its standard error is read: a compiler's error is a few lines.
const SAID_BYTES: u64 = 64 << 10;

/// The signal when RLIMIT_CPU is exceeded.
const SIGXCPU: i32 = 24;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Compiles components in processes of `program` from now on, whose `main` must call [`compiler_process`]. By default
/// they are compiled in this process, without limits: a program that embeds the gateway has no such `main`.
pub fn compile_in_processes_of(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

/// A component that was not compiled.
#[derive(Clone, Debug)]
pub(super) enum Uncompiled {
    /// The component is invalid, with the compiler's message.
    Wrong(String),
    /// No snapshot can be taken.
    NoSnapshot(NoSnapshot),
    /// The time-out was exceeded.
    Time(Duration),
    /// The configured memory limit was exceeded.
    Memory(u64),
    /// The memory that was left to the gateway was exceeded.
    Room(u64),
    /// The compiler crashed.
    Broken(String),
    /// No compiler could be started.
    Machine(String),
}

/// Starts compilers: a limited number at once, and one per component.
pub(super) struct Compiler {
    directory: PathBuf,
    limits: CompileLimits,
    at_work: Mutex<usize>,
    one_less: Condvar,
    once: Once,
}

impl Uncompiled {
    /// Its label in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Wrong(_) => "component",
            Self::NoSnapshot(_) => "snapshot",
            Self::Time(_) => "time",
            Self::Memory(_) | Self::Room(_) => "memory",
            Self::Broken(_) => "compiler",
            Self::Machine(_) => "machine",
        }
    }
}

impl Compiler {
    /// A compiler with its temporary files in `directory`.
    pub(super) fn new(directory: &Path, limits: CompileLimits) -> Self {
        Self {
            directory: directory.to_owned(),
            limits,
            at_work: Mutex::new(0),
            one_less: Condvar::new(),
            once: Once::default(),
        }
    }

    /// Returns whether components are compiled in separate processes.
    pub(super) fn is_apart() -> bool {
        PROGRAM.get().is_some()
    }

    /// Runs a task on a source and passes the output file to `take`; `None` if another thread was making what `key`
    /// names, and is done.
    ///
    /// # Errors
    /// When it fails, also in the other thread.
    pub(super) fn make<T>(
        &self,
        key: &Path,
        task: Task,
        source: &[u8],
        take: impl FnOnce(File) -> T,
    ) -> Result<Option<T>, Uncompiled> {
        self.once.run(key, || {
            let place = Place::take(self);
            let code = self.run(task, source, place.threads);
            drop(place);
            code.map(take)
        })
    }

    /// Runs other work that makes what `key` names; `None` if another thread was making it, and is done.
    ///
    /// # Errors
    /// With the error of the thread that did the work.
    pub(super) fn once<T>(
        &self,
        key: &Path,
        work: impl FnOnce() -> Result<T, Uncompiled>,
    ) -> Result<Option<T>, Uncompiled> {
        self.once.run(key, work)
    }

    /// The limits of a start-up, given an instance's memory limit.
    pub(super) fn start_up(&self, memory: u64) -> SnapshotLimits {
        SnapshotLimits::new(memory, self.limits.time)
    }

    fn run(&self, task: Task, source: &[u8], threads: usize) -> Result<File, Uncompiled> {
        let machine = |error: io::Error| Uncompiled::Machine(error.to_string());
        let code = tempfile::tempfile_in(&self.directory).map_err(machine)?;
        let memory = self.limits.memory_now();
        let child = self.start(task, source, (threads, memory), &code);
        self.await_code(child.map_err(machine)?, memory)
            .map_err(machine)??;
        Ok(code)
    }

    fn start(&self, task: Task, source: &[u8], (threads, memory): (usize, u64), code: &File) -> io::Result<Child> {
        let program = PROGRAM.get().ok_or(io::ErrorKind::NotFound)?;
        let mut input = tempfile::tempfile_in(&self.directory)?;
        input.write_all(source)?;
        input.rewind()?;
        let numbers = [
            u64::from(std::process::id()),
            threads as u64,
            memory,
            self.limits.time.as_secs().saturating_add(1),
        ];
        let [kind, world] = task.words();
        Command::new(program)
            .arg0("wasmgate")
            .args([COMMAND, kind.as_str()])
            .args(numbers.map(|number| number.to_string()))
            .arg(world)
            // It needs nothing of the gateway's environment; mimalloc must not reserve a gigabyte, which would count.
            .env_clear()
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .stdin(input)
            .stdout(code.try_clone()?)
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Waits for a compiler, and kills it when its time is up.
    fn await_code(&self, mut child: Child, memory: u64) -> io::Result<Result<(), Uncompiled>> {
        let deadline = Instant::now() + self.limits.time;
        let said = match child.stderr.take() {
            Some(said) => read_until(said, deadline),
            None => Ok(String::new()),
        };
        if said.is_err() {
            let _ = child.kill();
        }
        // Its output is closed, or it was killed.
        let status = child.wait()?;
        Ok(match said {
            Ok(said) => self.outcome(status, said, memory),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Uncompiled::Time(self.limits.time)),
            Err(error) => Err(Uncompiled::Machine(error.to_string())),
        })
    }

    fn outcome(&self, status: ExitStatus, said: String, memory: u64) -> Result<(), Uncompiled> {
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        if code == Some(0) {
            return Ok(());
        }
        // The messages of Rust and the system when memory runs out.
        let is_short = [
            "memory allocation of ",
            "annot allocate memory",
            "os error 12",
        ];
        if is_short.iter().any(|words| said.contains(words)) {
            return Err(match memory < self.limits.memory {
                true => Uncompiled::Room(memory),
                false => Uncompiled::Memory(memory),
            });
        }
        Err(match (code, status.signal()) {
            (Some(WRONG), _) => Uncompiled::Wrong(said),
            (Some(NO_SNAPSHOT), _) => match NoSnapshot::parse(&said) {
                Some(why) => Uncompiled::NoSnapshot(why),
                None => Uncompiled::Broken(said),
            },
            (Some(BROKEN), _) => Uncompiled::Machine(said),
            (_, Some(SIGXCPU)) => Uncompiled::Time(self.limits.time),
            _ => {
                let first = said.lines().find(|line| !line.trim().is_empty());
                Uncompiled::Broken(format!("{status}: {}", first.unwrap_or("it said nothing")))
            }
        })
    }
}

/// Reads the start of a compiler's standard error until it is closed.
fn read_until(mut output: ChildStderr, deadline: Instant) -> io::Result<String> {
    let mut said = Vec::new();
    let mut part = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&output, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let length = output.read(&mut part)?;
        let Some(read) = part.get(..length).filter(|read| !read.is_empty()) else {
            return Ok(String::from_utf8_lossy(&said).trim().to_owned());
        };
        if (said.len() as u64) < SAID_BYTES {
            said.extend_from_slice(read);
        }
    }
}

/// A slot for a compiler, with its number of threads.
struct Place<'a> {
    compiler: &'a Compiler,
    threads: usize,
}

impl<'a> Place<'a> {
    /// Waits for a slot.
    fn take(compiler: &'a Compiler) -> Self {
        let mut at_work = compiler.at_work.lock();
        while *at_work >= compiler.limits.at_once {
            compiler.one_less.wait(&mut at_work);
        }
        *at_work += 1;
        // A single compiler has all cores; later ones share them.
        let threads = (compiler.limits.cores / *at_work).max(1);
        Self { compiler, threads }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.compiler.at_work.lock() -= 1;
        self.compiler.one_less.notify_one();
    }
}
