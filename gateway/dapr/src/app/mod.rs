//! Apps: their names, and the channels through which the building blocks call them.

mod apps;
mod http_channel;

use std::{future::Future, pin::Pin, time::Duration};

use axum::body::Body;
use http::{Request, Response};

pub(crate) use apps::{Apps, DeliveryFailure};
pub use http_channel::HttpAppChannel;
pub use wasmgate_common::{AppId, AppIdError};

/// A failure to hand a request to an app.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// Nothing here has that app-id.
    #[error("there is no app {0}")]
    NoSuchApp(AppId),
    /// The app exists but cannot take requests now; the delivery is tried again and does not
    /// count as a failure of the app.
    #[error("app {app} is not available: {reason}")]
    Unavailable {
        /// The app that was called.
        app: AppId,
        /// The obstacle, for the log.
        reason: String,
    },
}

/// The answer of [`AppChannel::deliver`].
pub type DeliverFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, DeliverError>> + Send>>;

/// The way to apps, which the embedding program implements.
pub trait AppChannel: Send + Sync + 'static {
    /// Hands `request` to `app` and answers with what the app answered, whatever its status.
    ///
    /// The request's URI is a path with an optional query. Events, jobs and bindings come this
    /// way as well as invocations, so the embedder must not serve the same paths to the public.
    fn deliver(&self, app: &AppId, request: Request<Body>) -> DeliverFuture;

    /// The time that the whole answer of `app` to an event, a job or a binding may take where no
    /// resiliency policy says it.
    fn patience(&self, _app: &AppId) -> Duration {
        PATIENCE
    }

    /// Takes note of the result of one delivery to `app`.
    fn settled(&self, _app: &AppId, _kind: DeliveryKind, _result: DeliveryResult) {}
}

/// The time that an app may take over an answer that nothing else ends, such as one of a process that
/// hangs: as long as the sidecar waits for an app's answer at most by its own defaults.
const PATIENCE: Duration = Duration::from_secs(60);

/// The content of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryKind {
    /// An event of a subscription, alone or in a batch.
    Event,
    /// A job that is due.
    Job,
    /// The tick of an input binding.
    Binding,
}

/// The result of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryResult {
    /// The app took it.
    Done,
    /// The app failed or asked for a retry, and gets it again.
    Retry,
    /// The app could not be reached, which is no failure of it; it gets it later.
    Unreachable,
    /// It is gone without having been taken: refused, or all retries are used up.
    Dropped,
    /// It went to the dead-letter topic.
    DeadLettered,
    /// It is kept for an operator, since its retries are used up.
    Parked,
    /// Its time to live passed before it could be delivered.
    Expired,
}

impl DeliveryKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Event, Self::Job, Self::Binding];

    /// The word for it in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Job => "job",
            Self::Binding => "binding",
        }
    }
}

impl DeliveryResult {
    /// All results.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Retry,
        Self::Unreachable,
        Self::Dropped,
        Self::DeadLettered,
        Self::Parked,
        Self::Expired,
    ];

    /// The word for it in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Unreachable => "unreachable",
            Self::Dropped => "dropped",
            Self::DeadLettered => "dead-lettered",
            Self::Parked => "parked",
            Self::Expired => "expired",
        }
    }
}
