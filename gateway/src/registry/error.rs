//! Ways in which a registry fails to provide what is asked of it.

use std::{io, path::PathBuf, time::Duration};

use wasmgate_common::{Code, Diagnostic, NotPrivate};

/// Why a component cannot be pulled or pushed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// There is no response, or it breaks off.
    #[error("the registry {host} cannot be reached: {error}")]
    Unreachable {
        /// The host that was called.
        host: String,
        /// What went wrong, without credentials and paths.
        error: String,
    },
    /// The registry is temporarily unavailable.
    #[error("the registry {host} answered {status}{detail}")]
    Busy {
        /// The host that was called.
        host: String,
        /// Its status.
        status: u16,
        /// Its message, after a colon.
        detail: String,
        /// The time that it asks to wait.
        after: Option<Duration>,
    },
    /// The registry requires authentication, or denies access.
    #[error("the registry {host} does not let {who} {what} {repository} ({status}{detail})")]
    Refused {
        /// The host that was called.
        host: String,
        /// Its status.
        status: u16,
        /// Its message, after a colon.
        detail: String,
        /// The user, or anonymous.
        who: String,
        /// What was tried.
        what: &'static str,
        /// The repository.
        repository: String,
    },
    /// There is no such repository, tag or digest.
    #[error("there is no {what} in the registry {host}")]
    NotFound {
        /// The host that was called.
        host: String,
        /// The repository, with the tag or digest.
        what: String,
    },
    /// The registry violates the protocol.
    #[error("the registry {host} does not keep to the protocol: {what}")]
    Odd {
        /// The host that was called.
        host: String,
        /// Its response.
        what: String,
    },
    /// The registry redirects to a destination that is not allowed.
    #[error("the registry {host} leads to {to}, where plain HTTP is spoken")]
    Insecure {
        /// The host that was called.
        host: String,
        /// The destination.
        to: String,
    },
    /// The file of credentials cannot be used.
    #[error("{} holds no credentials that can be used: {reason}", file.display())]
    Credentials {
        /// The file.
        file: PathBuf,
        /// The error, without its contents.
        reason: String,
    },
    /// The manifest is invalid, or not that of a component.
    #[error("{reference} is no component: {what}")]
    NotAComponent {
        /// The reference.
        reference: String,
        /// What it is.
        what: String,
    },
    /// The digest does not match.
    #[error("{what} has the digest {found}, and {expected} is asked for")]
    OtherDigest {
        /// The reference, and the part of it.
        what: String,
        /// The expected digest.
        expected: String,
        /// The actual digest.
        found: String,
    },
    /// It is too large.
    #[error("{what} has {bytes} bytes, and at most {limit} are taken")]
    TooLarge {
        /// The reference, and the part of it.
        what: String,
        /// The announced or received size.
        bytes: u64,
        /// The maximum size.
        limit: u64,
    },
    /// It is not signed with the key.
    #[error("{reference} is not signed by the key in {}: {why}", key.display())]
    Unsigned {
        /// The reference with its digest.
        reference: String,
        /// The file of the key.
        key: PathBuf,
        /// What was found.
        why: String,
    },
    /// The component to push cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unread {
        /// Its file.
        path: PathBuf,
        /// The system's error.
        error: String,
    },
    /// The pulled component cannot be written.
    #[error("{} cannot be written: {error}", path.display())]
    Unwritten {
        /// Its file.
        path: PathBuf,
        /// The system's error.
        error: String,
    },
    /// The store cannot be used.
    #[error("{} cannot hold what is pulled: {error}", path.display())]
    Store {
        /// The folder or the file in it.
        path: PathBuf,
        /// The system's error.
        error: String,
    },
    /// Other users could change the store.
    #[error("{0}")]
    NotPrivate(String),
    /// The crypto provider or the runtime is unavailable.
    #[error("the registry's client cannot be made: {0}")]
    Machine(String),
}

impl RegistryError {
    /// Returns whether it is worth retrying soon.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. })
    }

    /// Returns whether the previous component may still be served, since the error is not about the component.
    pub(super) fn leaves_the_one_before(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Busy { .. }
                | Self::Refused { .. }
                | Self::NotFound { .. }
                | Self::Odd { .. }
                | Self::Insecure { .. }
                | Self::Credentials { .. }
        )
    }

    /// The registry's `retry-after`.
    pub(super) fn after(&self) -> Option<Duration> {
        match self {
            Self::Busy { after, .. } => *after,
            _ => None,
        }
    }

    /// An error of the store.
    pub(super) fn store(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        Self::Store {
            path: path.into(),
            error: error.to_string(),
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Odd { .. } | Self::Insecure { .. } => {
                Code::RegistryUnavailable
            }
            Self::Refused { .. } | Self::Credentials { .. } => Code::RegistryRefused,
            Self::NotFound { .. } => Code::FileMissing,
            Self::NotAComponent { .. } => Code::NotAComponent,
            Self::OtherDigest { .. } => Code::OtherDigest,
            Self::TooLarge { .. } => Code::ComponentTooLarge,
            Self::Unsigned { .. } => Code::NotSigned,
            Self::Unread { .. } | Self::Unwritten { .. } => Code::FileUnreadable,
            Self::Store { .. } | Self::Machine(_) => Code::CacheUnusable,
            Self::NotPrivate(_) => Code::NotPrivate,
        }
    }

    fn help(&self) -> String {
        let help = match self {
            Self::Unreachable { .. } => {
                "correct its name, or start it; a private authority is named by `ca` in [registry.host.\"HOST\"], and \
                 plain HTTP is spoken on this machine alone, or with insecure = true"
            }
            Self::Busy { .. } => "try again later",
            Self::Refused { who, .. } if who == ANYBODY => {
                "log in with `docker login`, or name a file of credentials in [registry.host.\"HOST\"]"
            }
            Self::Refused { .. } => "give that user the right, or correct the credentials",
            Self::NotFound { .. } => "correct the name, or push it with `wasmgate push`",
            Self::Odd { .. } => "name a registry that speaks the protocol of OCI distribution (/v2/)",
            Self::Insecure { .. } => {
                "have it lead to https, or allow that host with insecure = true in [registry.host.\"HOST\"]"
            }
            Self::Credentials { .. } => "write it in the form of Docker's config.json, with `auths`",
            Self::NotAComponent { .. } => "push a component with `wasmgate push` or `wkg oci push`, and name its tag",
            Self::OtherDigest { .. } => {
                "pull it from a registry that has what is named; the one that was asked may be damaged"
            }
            Self::TooLarge { .. } => "make it smaller: this limit protects the disk, and no key changes it",
            Self::Unsigned { .. } => "sign it with `cosign sign --key cosign.key`, or correct `verify`",
            Self::Unread { .. } => "name the file of a component",
            Self::Unwritten { .. } => "let this user write there, or name another file with --output",
            Self::Store { .. } => "make the directory writable, or name another one in `[server] cache`",
            Self::NotPrivate(_) => "name a folder of the gateway's own in `[server] cache`",
            Self::Machine(_) => "look at the limits on threads and descriptors",
        };
        help.to_owned()
    }
}

/// The user without credentials.
pub(super) const ANYBODY: &str = "anybody without credentials";

impl From<RegistryError> for Diagnostic {
    fn from(error: RegistryError) -> Self {
        Self::new(error.code(), error.to_string(), error.help())
    }
}

impl From<NotPrivate> for RegistryError {
    fn from(error: NotPrivate) -> Self {
        match error {
            NotPrivate::Io { path, source } => Self::store(path, &source),
            shared => Self::NotPrivate(shared.to_string()),
        }
    }
}
