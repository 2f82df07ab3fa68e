//! Failures of builds, each with its remedy.

use std::{path::PathBuf, time::Duration};

use wasmgate_common::{Code, Diagnostic};

/// A build that made nothing to be served.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BuildFailure {
    /// The folder that the command is to run in.
    #[error("the folder {} of the build command is not there", folder.display())]
    NoFolder {
        /// `workdir`.
        folder: PathBuf,
    },
    /// There is no shell, or the system starts no more processes.
    #[error("the build command cannot be started: {error}")]
    NotStarted {
        /// The system's error.
        error: String,
    },
    /// The shell found no such program.
    #[error("the build command was not found: `{command}`")]
    NotFound {
        /// The command.
        command: String,
    },
    /// The program may not be run.
    #[error("the build command cannot be run: `{command}`")]
    NotExecutable {
        /// The command.
        command: String,
    },
    /// It ended with another code than 0.
    #[error("the build command failed with exit code {code}")]
    Failed {
        /// That code.
        code: i32,
    },
    /// Something else ended it.
    #[error("the build command was killed by signal {signal}")]
    Killed {
        /// The number of the signal (signal(7)).
        signal: i32,
    },
    /// It took longer than it may.
    #[error("the build command took longer than {} and was ended", humantime::format_duration(*limit))]
    TimedOut {
        /// `timeout`.
        limit: Duration,
    },
    /// It was told to end.
    #[error("the build was stopped")]
    Stopped,
    /// It ended well, and the component is not there.
    #[error("the build command ended well, and did not make {}", path.display())]
    NothingWritten {
        /// The file named by `source`.
        path: PathBuf,
    },
}

impl BuildFailure {
    fn help(&self) -> &'static str {
        match self {
            Self::NoFolder { .. } => "make it, or correct `workdir` (it is relative to the configuration file)",
            Self::NotStarted { .. } => "a POSIX shell, `sh`, and a free process are needed",
            Self::NotFound { .. } => "install the program, or correct `command`",
            Self::NotExecutable { .. } => "make the program executable, or correct `command`",
            Self::Failed { .. } => "what it printed says why",
            Self::Killed { .. } => "signal 9 most often means that the machine has no memory left",
            Self::TimedOut { .. } => "raise `timeout` of the package's `build` if it needs longer",
            Self::Stopped => "start it again",
            Self::NothingWritten { .. } => {
                "correct `source` to the file that the command writes, or the command: a profile or target in another folder?"
            }
        }
    }
}

impl From<BuildFailure> for Diagnostic {
    fn from(failure: BuildFailure) -> Self {
        Self::new(Code::NotBuilt, failure.to_string(), failure.help())
    }
}
