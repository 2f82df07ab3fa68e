//! Errors of the database, by kind.

use std::sync::Arc;

use rusqlite::ErrorCode;

use super::SCHEMA_VERSION;
use crate::{
    error::ApiError,
    quotas::{Kept, QuotaExceeded},
};

/// A failure of the database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite's own words.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The transaction that held this write failed; nothing of it was kept.
    #[error("the transaction was not committed: {reason}")]
    NotCommitted {
        /// The kind of failure that kept it from being committed.
        fault: Fault,
        /// SQLite's own words.
        reason: Arc<str>,
    },
    /// The file was written by another version.
    #[error("its layout is version {0}, this program knows version {SCHEMA_VERSION}")]
    Version(i64),
    /// The file is another program's.
    #[error("it is a database of another program")]
    Foreign,
    /// The file has been changed by another program; what was found first.
    #[error("{0}")]
    Altered(String),
    /// The file is damaged; what was found first.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// An app would keep more than it may.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// One app has so many writes waiting that it may add no more.
    #[error("too many writes of this app wait")]
    Crowded,
    /// The writer has ended, as the process is ending.
    #[error("the database is closed")]
    Closed,
}

/// The kinds of failure that call for different remedies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// There is no room on the disk; the call may be tried again once there is.
    Full,
    /// The disk could not be read or written.
    Io,
    /// The file is damaged; a backup has to be restored.
    Corrupt,
    /// The file was deleted or replaced while it was open.
    Gone,
    /// Memory, descriptors or a lock were short; a moment later it may work.
    Busy,
    /// Anything else.
    Other,
}

impl StoreError {
    /// The kind of this failure.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Sqlite(error) => Fault::from_code(error.sqlite_error_code()),
            Self::NotCommitted { fault, .. } => *fault,
            Self::Version(_) | Self::Foreign | Self::Altered(_) | Self::Quota(_) => Fault::Other,
            Self::Damaged(_) => Fault::Corrupt,
            Self::Crowded | Self::Closed => Fault::Busy,
        }
    }

    /// The remedy for a database that cannot be opened for this.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Version(_) => {
                "start the version of this program that wrote it, or name another folder with data in [dapr]"
            }
            Self::Foreign => "name another folder with data in [dapr]",
            Self::Altered(_) => "name a file as `wasmgate backup` wrote it",
            other => other.fault().remedy(),
        }
    }
}

impl Fault {
    /// The word for it in the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Io => "input-output",
            Self::Corrupt => "corrupt",
            Self::Gone => "gone",
            Self::Busy => "busy",
            Self::Other => "other",
        }
    }

    /// The remedy for a database that cannot be opened for this.
    fn remedy(self) -> &'static str {
        match self {
            Self::Full => "make room on its disk, where nothing is lost",
            Self::Io => "look at its disk, which could not be read or written",
            Self::Busy => "close what else has it open, see to it that it may be read and written, and try again",
            Self::Corrupt | Self::Gone | Self::Other => "restore a backup, or move the file away to start empty",
        }
    }

    fn from_code(code: Option<ErrorCode>) -> Self {
        match code {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::SystemIoFailure) => Self::Io,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt,
            Some(
                ErrorCode::CannotOpen | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OutOfMemory,
            ) => Self::Busy,
            _ => Self::Other,
        }
    }
}

/// A failure of a write, which may be the database's.
pub(crate) trait WriteError: From<StoreError> + Send + 'static {
    /// The database's failure, if it is one.
    fn as_store(&self) -> Option<&StoreError>;
}

impl WriteError for StoreError {
    fn as_store(&self) -> Option<&StoreError> {
        Some(self)
    }
}

/// The answer to a call that failed for the database, under the code of its operation: each kind of failure has its
/// own.
pub(crate) fn store_error(code: &'static str, error: &StoreError) -> ApiError {
    if let StoreError::Quota(exceeded) = error {
        return quota_error(exceeded);
    }
    tracing::error!(%error, fault = ?error.fault(), code, "the database failed");
    match error.fault() {
        Fault::Full => ApiError::new(
            507,
            code,
            "the disk of the embedded runtime is full; nothing was stored",
        ),
        Fault::Busy => ApiError::new(
            503,
            code,
            "the embedded runtime's database is short of what it needs; try again",
        )
        .retry_after(),
        Fault::Io => ApiError::new(
            500,
            code,
            "the embedded runtime's disk failed; nothing was stored",
        ),
        Fault::Corrupt => ApiError::new(
            500,
            code,
            "the embedded runtime's database is damaged; a backup has to be restored",
        ),
        Fault::Gone => ApiError::new(
            500,
            code,
            "the embedded runtime's data file was taken away or replaced; nothing was stored. Put it back, or start the \
             gateway again",
        ),
        Fault::Other => ApiError::new(
            500,
            code,
            format!("the embedded runtime's database failed: {error}"),
        ),
    }
}

/// The code of a write that would go beyond a quota.
const QUOTA: &str = "ERR_QUOTA_EXCEEDED";

/// The answer to a call for which an app would keep more than it may. A publisher is not told whose queue is full.
fn quota_error(exceeded: &QuotaExceeded) -> ApiError {
    let QuotaExceeded {
        app,
        kept,
        key,
        limit,
    } = exceeded;
    let message = match kept {
        Kept::Queue => "the queue of a subscriber is full; nothing was published. Try again once it has taken some \
                        events; the metrics and the log tell the operator whose queue it is"
            .to_owned(),
        Kept::Published => format!(
            "what {app} has published and no subscriber has taken yet is all that it may be: {key} = {limit}; nothing \
             was published. Try again later, or raise {key} under quotas in [package.{app}.dapr] or in [dapr.quotas]"
        ),
        _ => format!(
            "{app} keeps all that it may: {key} = {limit}; nothing was stored. Delete some, or raise {key} under quotas \
             in [package.{app}.dapr] or in [dapr.quotas]"
        ),
    };
    let error = ApiError::new(507, QUOTA, message).refused();
    match kept.passes() {
        true => error.retry_after(),
        false => error,
    }
}
