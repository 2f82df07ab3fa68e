//! The compiler process: sets its own resource limits, compiles what it reads, and writes the code.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, getppid, setrlimit};

use super::{super::snapshot, BROKEN, COMMAND, NO_SNAPSHOT, Task, WRONG};
use crate::{
    engine,
    package::{adapt, pieces},
};

/// The work of one compiler.
struct Work {
    task: Task,
    parent: i32,
    threads: usize,
    memory: u64,
    seconds: u64,
}

/// Runs as a compiler if the arguments, including the program's name, are those of a compiler process, and returns the
/// exit code. Must be called first in the `main` of the program that
/// [`compile_in_processes_of`](super::compile_in_processes_of) names.
pub fn compiler_process(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != COMMAND {
        return None;
    }
    let ended = match read(arguments) {
        Some(work) => work.run(),
        None => Err((
            BROKEN,
            "a compiler is started by the gateway alone".to_owned(),
        )),
    };
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(code)
        }
    })
}

fn read(arguments: impl Iterator<Item = OsString>) -> Option<Work> {
    let arguments: Option<Vec<_>> = arguments
        .map(|argument| argument.into_string().ok())
        .collect();
    let arguments = arguments?;
    let [kind, parent, threads, memory, seconds, world] = arguments.as_slice() else {
        return None;
    };
    Some(Work {
        task: Task::read([kind, world])?,
        parent: parent.parse().ok()?,
        threads: threads.parse().ok()?,
        memory: memory.parse().ok()?,
        seconds: seconds.parse().ok()?,
    })
}

impl Work {
    fn run(&self) -> Result<(), (u8, String)> {
        let broken = |error: &dyn std::fmt::Display| (BROKEN, error.to_string());
        self.limit().map_err(|error| broken(&error))?;
        let mut source = Vec::new();
        io::stdin()
            .lock()
            .read_to_end(&mut source)
            .map_err(|error| broken(&error))?;
        let made = match self.task {
            Task::Adapt => adapt::component(&source).map_err(|error| (WRONG, error))?,
            Task::Compile(id) => {
                self.threads().map_err(|error| broken(&error))?;
                let engine = engine::for_compiling(id).map_err(|error| (BROKEN, format!("{error:#}")))?;
                engine
                    .precompile_component(&pieces::in_pieces(&source))
                    .map_err(|error| (WRONG, format!("{error:#}")))?
            }
            Task::StartUp(limits) => {
                self.threads().map_err(|error| broken(&error))?;
                let engine = engine::for_start_ups().map_err(|error| (BROKEN, format!("{error:#}")))?;
                snapshot::take(&source, &engine, limits).map_err(|error| (NO_SNAPSHOT, error.to_string()))?
            }
        };
        // Bypasses the line buffer of standard output.
        let output = io::stdout().as_fd().try_clone_to_owned();
        output
            .and_then(|output| File::from(output).write_all(&made))
            .map_err(|error| broken(&error))
    }

    /// Limits the number of compiler threads.
    fn threads(&self) -> Result<(), rayon::ThreadPoolBuildError> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build_global()
    }

    /// Sets the limits of this process, and has it killed when the gateway ends.
    fn limit(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != self.parent) {
            return Err(io::Error::other("the gateway is gone"));
        }
        // RLIMIT_DATA, unlike RLIMIT_AS, does not count address space that is only reserved.
        limit(Resource::Data, self.memory)?;
        limit(Resource::Fsize, self.memory)?;
        limit(Resource::Core, 0)?;
        // In case nobody is left to enforce the deadline.
        limit(
            Resource::Cpu,
            self.seconds.saturating_mul(self.threads.max(1) as u64),
        )?;
        // If the machine runs out of memory, the kernel should kill this process before the gateway.
        let _ = fs::write("/proc/self/oom_score_adj", "1000");
        Ok(())
    }
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let before = rustix::process::getrlimit(resource).maximum;
    let most = before.map_or(most, |before| before.min(most));
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(setrlimit(resource, limit)?)
}
