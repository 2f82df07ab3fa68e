//! Failures of a command, each with its exit code.

use std::process::ExitCode;

use wasmgate::{admin::client::CallError, bootstrap::StartError, registry::RegistryError};

use super::tell;

/// The command line or the configuration is wrong (`EX_USAGE` in sysexits.h).
pub(crate) const USAGE: u8 = 64;
/// What was named is not there, or is not what it should be (`EX_DATAERR`).
const DATA: u8 = 65;
/// An address is taken, or nobody answers at one (`EX_UNAVAILABLE`).
const UNAVAILABLE: u8 = 69;
/// A build command failed (`EX_SOFTWARE`).
const NOT_BUILT: u8 = 70;
/// Ctrl-C ended a build, as a shell tells it: 128 and the number of the signal.
const INTERRUPTED: u8 = 130;
/// The machine does not give what is needed (`EX_OSERR`).
const OS_ERROR: u8 = 71;
/// A file cannot be made (`EX_CANTCREAT`).
const CANNOT_CREATE: u8 = 73;
/// A file cannot be used as it is (`EX_IOERR`).
const IO_ERROR: u8 = 74;
/// Another process does not keep to the protocol (`EX_PROTOCOL`).
const PROTOCOL: u8 = 76;
/// A running gateway or a registry does not do what is asked of it (`EX_NOPERM`).
const REFUSED: u8 = 77;

/// The end of the process, with its code.
pub(crate) struct Exit {
    /// The exit code.
    pub(super) code: u8,
    /// What standard error is told.
    pub(super) message: String,
}

impl Exit {
    /// Tells a user of it.
    pub(crate) fn told(self) -> ExitCode {
        tell(&self.message);
        ExitCode::from(self.code)
    }

    /// A mistake in the arguments or the configuration; `message` is said as it is.
    pub(super) fn usage(message: String) -> Self {
        Self {
            code: USAGE,
            message,
        }
    }

    /// A file or folder that cannot be made; `message` is said as it is.
    pub(super) fn cannot_create(message: String) -> Self {
        Self {
            code: CANNOT_CREATE,
            message,
        }
    }

    /// A build command that failed; `message` is said as it is.
    pub(super) fn not_built(message: String) -> Self {
        Self {
            code: NOT_BUILT,
            message,
        }
    }

    /// A build that somebody ended.
    pub(super) fn interrupted() -> Self {
        Self {
            code: INTERRUPTED,
            message: "error: the build was stopped".to_owned(),
        }
    }

    /// Data that cannot be used.
    pub(super) fn data(error: &dyn std::fmt::Display) -> Self {
        Self {
            code: IO_ERROR,
            message: format!("error: {error}"),
        }
    }

    /// Something that the machine did not give.
    pub(super) fn machine(error: &dyn std::fmt::Display) -> Self {
        Self {
            code: OS_ERROR,
            message: format!("error: {error}"),
        }
    }
}

impl From<StartError> for Exit {
    fn from(error: StartError) -> Self {
        let code = match &error {
            StartError::Packages(_) | StartError::Arguments(_) => USAGE,
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

impl From<&RegistryError> for Exit {
    fn from(error: &RegistryError) -> Self {
        let code = match error {
            RegistryError::Unreachable { .. } | RegistryError::Busy { .. } => UNAVAILABLE,
            RegistryError::Refused { .. } | RegistryError::Credentials { .. } | RegistryError::Unsigned { .. } => {
                REFUSED
            }
            RegistryError::Unread { .. } => USAGE,
            RegistryError::Unwritten { .. } => CANNOT_CREATE,
            RegistryError::Store { .. } | RegistryError::NotPrivate(_) => IO_ERROR,
            RegistryError::Machine(_) => OS_ERROR,
            RegistryError::NotFound { .. }
            | RegistryError::NotAComponent { .. }
            | RegistryError::OtherDigest { .. }
            | RegistryError::TooLarge { .. } => DATA,
            RegistryError::Odd { .. } | RegistryError::Insecure { .. } => PROTOCOL,
        };
        Self {
            code,
            message: format!("error: {error}"),
        }
    }
}

impl From<CallError> for Exit {
    fn from(error: CallError) -> Self {
        let code = match error {
            CallError::Unreachable { .. }
            | CallError::NoGateway { .. }
            | CallError::Silent { .. }
            | CallError::Late { .. }
            | CallError::Broken(_) => UNAVAILABLE,
            CallError::Refused { .. } => REFUSED,
        };
        Self {
            code,
            message: format!("error: {error}"),
        }
    }
}
