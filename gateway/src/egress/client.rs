//! The HTTP client of guests' requests, with a connection pool that all instances of a worker share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, client::conn::TrySendError};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{
    body::{Paced, Sending},
    connect::{Connection, connect},
    failed::Failed,
    outgoing::{Destination, Outgoing},
    pool::{Idle, Key},
    settings::Settings,
};
use crate::admission::Permits;

/// The default time-out for connecting, from name resolution to TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A worker's client; clones share its connections.
#[derive(Clone)]
pub(crate) struct Client(Arc<Shared>);

struct Shared {
    settings: Settings,
    idle: Idle,
}

/// A request that failed.
struct Unanswered {
    failed: Failed,
    /// The request, if nothing of it was sent.
    unsent: Option<Request<WasiBody>>,
}

impl Client {
    /// A client with no connections yet.
    pub(crate) fn new(settings: Settings) -> Self {
        let idle = Idle::new(settings.idle().clone());
        Self(Arc::new(Shared { settings, idle }))
    }

    /// The permits of all outgoing requests.
    pub(super) fn permits(&self) -> &Permits {
        self.0.settings.permits()
    }

    /// Sends a request and waits for the response's head, within the guest's own time-outs.
    ///
    /// # Errors
    /// As the guest will see them.
    pub(super) async fn send(
        &self,
        request: Request<WasiBody>,
        options: RequestOptions,
        outgoing: Arc<Outgoing>,
    ) -> Result<Response<WasiBody>, Error> {
        let sent = self.try_to_send(request, options, &outgoing).await;
        let (response, took) = sent.map_err(|failed| outgoing.failed(failed))?;
        let first = options
            .first_byte_timeout
            .map(|limit| limit.saturating_sub(took));
        let between = options.between_bytes_timeout;
        Ok(response.map(|body| Paced::new(body, outgoing, first, between).boxed_unsync()))
    }

    /// The response, and the time of its head from when there was a connection.
    async fn try_to_send(
        &self,
        request: Request<WasiBody>,
        options: RequestOptions,
        outgoing: &Arc<Outgoing>,
    ) -> Result<(Response<Incoming>, Duration), Failed> {
        let (mut parts, body) = request.into_parts();
        // The client writes the host itself, in the form of the HTTP version.
        parts.headers.remove(header::HOST);
        parts.uri = outgoing.to.uri(&parts.uri)?;
        let body = Sending::gather(body).await;
        if matches!(&body, Sending::Whole(bytes) if bytes.is_empty()) && expects_a_body(&parts.method) {
            parts
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let again = match &body {
            Sending::Whole(bytes) if parts.method.is_idempotent() => Some((parts.clone(), bytes.clone())),
            Sending::Whole(_) | Sending::Streamed(_) => None,
        };
        let request = Request::from_parts(parts, body.body(outgoing));
        let key = self.key(outgoing);
        let (connection, is_reused) = match self.0.idle.take(&key) {
            Some(connection) => (connection, true),
            None => (self.connect(outgoing, options).await?, false),
        };
        let first_byte = options.first_byte_timeout;
        let started = Instant::now();
        let unanswered = match self.exchange(connection, &key, request, first_byte).await {
            Ok(response) => return Ok((response, started.elapsed())),
            Err(unanswered) if is_reused && unanswered.is_for_lack_of_a_connection() => unanswered,
            Err(unanswered) => return Err(unanswered.failed),
        };
        // The peer closed the idle connection, which has nothing to do with this request.
        let again = again.map(|(parts, bytes)| Request::from_parts(parts, Sending::Whole(bytes).body(outgoing)));
        let Some(request) = unanswered.unsent.or(again) else {
            return Err(unanswered.failed);
        };
        let connection = self.connect(outgoing, options).await?;
        let started = Instant::now();
        match self.exchange(connection, &key, request, first_byte).await {
            Ok(response) => Ok((response, started.elapsed())),
            Err(unanswered) => Err(unanswered.failed),
        }
    }

    fn key(&self, outgoing: &Outgoing) -> Key {
        let ways = self.0.settings.now();
        let (_, is_own) = ways.tls_of(outgoing.account.name());
        Key {
            generation: ways.generation(),
            to: outgoing.to.clone(),
            of: is_own.then(|| outgoing.account.name().clone()),
        }
    }

    async fn connect(&self, outgoing: &Outgoing, options: RequestOptions) -> Result<Connection, Failed> {
        let ways = self.0.settings.now();
        let (tls, _) = ways.tls_of(outgoing.account.name());
        let limit = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        let resolving = AtomicBool::new(true);
        let connecting = connect(
            &outgoing.to,
            &ways,
            tls,
            &outgoing.account.lookups,
            &resolving,
        );
        match tokio::time::timeout(limit, connecting).await {
            Ok(connected) => connected,
            Err(_) if resolving.load(Ordering::Relaxed) => Err(Failed::new(
                Error::DnsTimeout,
                format!("the name was not resolved within {limit:?}"),
            )),
            Err(_) => Err(Failed::new(
                Error::ConnectionTimeout,
                format!("there was no connection within {limit:?}"),
            )),
        }
    }

    /// Sends on a connection, and returns that to the pool if it is reusable.
    async fn exchange(
        &self,
        mut connection: Connection,
        key: &Key,
        request: Request<WasiBody>,
        first_byte: Option<Duration>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let limit = first_byte.unwrap_or(Duration::MAX);
        let sending = connection.send(&key.to, request);
        let Ok(sent) = tokio::time::timeout(limit, sending).await else {
            let detail = format!("no response came within {limit:?}");
            return Err(Unanswered {
                failed: Failed::new(Error::ConnectionReadTimeout, detail),
                unsent: None,
            });
        };
        match sent {
            Ok(response) => {
                self.keep(key.clone(), connection);
                Ok(response)
            }
            Err(mut error) => {
                let unsent = error.take_message();
                let failed = Failed::from_error(error.error(), Error::HttpProtocolError);
                let failed = if connection.has_received() {
                    failed.after_a_part()
                } else {
                    failed
                };
                Err(Unanswered { failed, unsent })
            }
        }
    }

    fn keep(&self, key: Key, connection: Connection) {
        let idle = self.0.idle.clone();
        if connection.is_open() {
            return idle.put(key, connection);
        }
        // It is reusable when the response's body has been read.
        tokio::spawn(async move {
            if let Some(connection) = connection.ready().await {
                idle.put(key, connection);
            }
        });
    }
}

impl Unanswered {
    fn is_for_lack_of_a_connection(&self) -> bool {
        self.unsent.is_some() || matches!(self.failed.code, Error::ConnectionTerminated)
    }
}

impl Connection {
    async fn send(
        &mut self,
        to: &Destination,
        mut request: Request<WasiBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<WasiBody>>> {
        match self {
            Self::Http1 {
                sender,
                watch,
                proxy,
            } => {
                let host = HeaderValue::try_from(to.authority());
                if let Ok(host) = host {
                    request.headers_mut().insert(header::HOST, host);
                }
                match proxy {
                    Some(Some(credentials)) => {
                        let credentials = credentials.clone();
                        let headers = request.headers_mut();
                        headers.insert(header::PROXY_AUTHORIZATION, credentials);
                    }
                    Some(None) => {}
                    None => *request.uri_mut() = origin_form(request.uri()),
                }
                watch.begin();
                let watched = Arc::clone(watch);
                hyper::ext::on_informational(&mut request, move |_| watched.interim());
                sender.try_send_request(request).await
            }
            Self::Http2(sender) => sender.try_send_request(request).await,
        }
    }

    /// Returns whether anything was received since the last request was sent.
    fn has_received(&self) -> bool {
        match self {
            Self::Http1 { watch, .. } => watch.has_received(),
            Self::Http2(_) => false,
        }
    }

    /// Returns whether it can take a request now.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Http1 { sender, .. } => sender.is_ready(),
            Self::Http2(sender) => sender.is_ready(),
        }
    }

    /// Returns whether it multiplexes requests.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// A clone, if it multiplexes requests.
    pub(super) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1 { .. } => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Waits until it can take another request; `None` if it never will.
    async fn ready(mut self) -> Option<Self> {
        match &mut self {
            Self::Http1 { sender, .. } => sender.ready().await.ok()?,
            Self::Http2(sender) => sender.ready().await.ok()?,
        }
        Some(self)
    }
}

/// Returns whether an empty body needs `content-length: 0` (RFC 9110, 8.6).
fn expects_a_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn origin_form(uri: &Uri) -> Uri {
    let path = uri
        .path_and_query()
        .filter(|path| path.as_str().starts_with('/'));
    path.map_or_else(Uri::default, |path| Uri::from(path.clone()))
}
