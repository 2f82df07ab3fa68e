//! The access log: a line for each request, as text on a terminal, otherwise as JSON with OpenTelemetry's names.
//!
//! Lines go directly into the log's queue, since `tracing` would take several times as long for each. A request that is
//! not logged costs one atomic load.

mod format;
mod mode;

use std::{
    io::Write as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use http::{HeaderValue, Method, Request, StatusCode, Uri};

use crate::{error::Failure, log::Log, metrics::RouteMetrics, request_headers::RequestId};

pub use mode::Requests;

/// The target by which a filter of the log (`RUST_LOG`) names these lines.
const TARGET: &str = "request";

/// The reason of a response that its client did not wait for.
const CLIENT_LEFT: &str = "client-left";

static OUT: OnceLock<Out> = OnceLock::new();
/// Which requests have a line, as [`Requests`] has it as a number.
static MODE: AtomicU32 = AtomicU32::new(Requests::NONE);

/// The way out, and the form.
struct Out {
    log: Log,
    is_terminal: bool,
}

/// Lets lines go to a log, once for the process; until then there are none.
pub fn start(log: Log, is_terminal: bool) {
    let _ = OUT.set(Out { log, is_terminal });
}

/// Chooses which requests have a line from now on; unless said, all on a terminal, and otherwise those that fail.
pub(crate) fn choose(requests: Option<Requests>) {
    let Some(out) = OUT.get() else {
        return;
    };
    let usual = if out.is_terminal {
        Requests::All
    } else {
        Requests::Failures
    };
    MODE.store(requests.unwrap_or(usual).to_number(), Ordering::Relaxed);
}

/// The line of one request, which is written when its response is over, however it ends.
pub(crate) struct RequestLine {
    method: Method,
    uri: Uri,
    id: RequestId,
    started: Instant,
    route: Option<Arc<RouteMetrics>>,
    trace: Option<HeaderValue>,
    status: Option<StatusCode>,
    bytes: u64,
    failed: Option<&'static str>,
}

impl RequestLine {
    /// Begins a line, if there is to be one.
    pub(crate) fn begin<B>(request: &Request<B>, id: &RequestId) -> Option<Box<Self>> {
        if MODE.load(Ordering::Relaxed) == Requests::NONE || !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            return None;
        }
        Some(Box::new(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            id: id.clone(),
            started: Instant::now(),
            route: None,
            trace: None,
            status: None,
            bytes: 0,
            failed: None,
        }))
    }

    /// The route was found, and the request has its place in a trace.
    pub(crate) fn routed(&mut self, route: Option<Arc<RouteMetrics>>, trace: Option<&HeaderValue>) {
        self.route = route;
        self.trace = trace.cloned();
    }

    /// The head of a response goes out.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The gateway answers in the package's place, with a document of so many bytes.
    pub(crate) fn refused(mut self: Box<Self>, failure: &Failure, bytes: usize) {
        self.status = Some(failure.status());
        self.failed = Some(failure.reason());
        self.bytes = bytes as u64;
    }

    /// So many bytes of the body go out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The response broke off.
    pub(crate) fn cut(&mut self, reason: &'static str) {
        self.failed.get_or_insert(reason);
    }

    /// The response broke off because nobody takes it any more.
    pub(crate) fn left(&mut self) {
        self.cut(CLIENT_LEFT);
    }

    /// Returns whether somebody should look at it: the package or the gateway failed. Requests beyond what a package
    /// may take are counted, and have no line each.
    fn is_failure(&self) -> bool {
        match (self.failed, self.status) {
            (Some(CLIENT_LEFT), _) => false,
            (Some(reason), _) if reason == Failure::Overloaded.reason() => false,
            (_, Some(status)) => status.is_server_error() || self.failed.is_some_and(|_| status.is_success()),
            (_, None) => false,
        }
    }
}

impl Drop for RequestLine {
    fn drop(&mut self) {
        let Some(out) = OUT.get() else {
            return;
        };
        if self.status.is_none() {
            self.left();
        }
        let mode = Requests::from_number(MODE.load(Ordering::Relaxed));
        if !mode.takes(self.is_failure()) {
            return;
        }
        format::with_buffer(|line| {
            if out.is_terminal {
                self.write_for_people(line, self.started.elapsed());
            } else {
                self.write_json(line, self.started.elapsed(), std::time::SystemTime::now());
            }
            let _ = (&out.log).write_all(line);
        });
    }
}
