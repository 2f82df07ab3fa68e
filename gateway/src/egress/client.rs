//! The client that guests' requests go out on: connections are pooled and shared by all instances of a worker.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Sleep;
use tower::Service;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::address;

/// How long one connection attempt may take; a guest may ask for less in all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept: a little less than the 60 s after which common servers close theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);

/// Idle connections kept to one host, per worker.
const IDLE_PER_HOST: usize = 64;

/// A worker's client; clones share its connections.
#[derive(Clone)]
pub struct Client {
    /// Shared: every request takes a clone with it, and few use it.
    pool: Arc<Pool<HttpsConnector<HttpConnector<Resolver>>, WasiBody>>,
}

impl Client {
    /// A client with no connections yet, trusting Mozilla's root certificates.
    ///
    /// # Errors
    /// When the cryptography has no usable protocol version: a mistake in how this program was built.
    pub fn new() -> Result<Self, rustls::Error> {
        let mut http = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_webpki_roots()
            .with_no_client_auth();
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(http);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .build(https);
        Ok(Self {
            pool: Arc::new(pool),
        })
    }

    /// Sends a request and waits for the response's head, within the guest's own time-outs.
    ///
    /// # Errors
    /// As the guest will see them.
    pub(super) async fn send(
        &self,
        mut request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<Response<WasiBody>, Error> {
        // The client writes the host itself, in the form that the protocol version wants.
        request.headers_mut().remove(header::HOST);
        let response = self.pool.request(request);
        let response = match time_to_head(options) {
            None => response.await,
            Some(limit) => tokio::time::timeout(limit, response)
                .await
                .map_err(|_| Error::ConnectionReadTimeout)?,
        };
        let response = response.map_err(|error| explain(&error))?;
        Ok(response.map(|body| Paced::new(body, options.between_bytes_timeout).boxed_unsync()))
    }
}

fn time_to_head(options: RequestOptions) -> Option<Duration> {
    let first_byte = options.first_byte_timeout?;
    Some(first_byte.saturating_add(options.connect_timeout.unwrap_or(CONNECT_TIMEOUT)))
}

/// What went wrong, in the words that WASI has for it.
fn explain(error: &PoolError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Closed>() {
            tracing::warn!(
                host = refused.host,
                "outbound request refused: the name resolves to a closed address"
            );
            return Error::DestinationIpProhibited;
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return match error {
                rustls::Error::InvalidCertificate(_) => Error::TlsCertificateError,
                _ => Error::TlsProtocolError,
            };
        }
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.get_ref().is_none()
        {
            return match error.kind() {
                io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                io::ErrorKind::TimedOut => Error::ConnectionTimeout,
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    Error::ConnectionTerminated
                }
                io::ErrorKind::UnexpectedEof => Error::HttpResponseIncomplete,
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    Error::DestinationUnavailable
                }
                _ => Error::InternalError(None),
            };
        }
        cause = error.source();
    }
    if error.is_connect() {
        return Error::DnsError {
            rcode: None,
            info_code: None,
        };
    }
    Error::HttpProtocolError
}

/// Resolves names and leaves out the addresses that stay closed.
#[derive(Clone)]
struct Resolver(GaiResolver);

/// A name that led to closed addresses only.
#[derive(Debug, thiserror::Error)]
#[error("{host} resolves to an address that stays closed")]
struct Closed {
    host: String,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Resolved =
    Pin<Box<dyn Future<Output = Result<std::vec::IntoIter<SocketAddr>, BoxError>> + Send>>;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Resolved;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Resolved {
        let host = name.as_str().to_owned();
        let resolving = self.0.call(name);
        Box::pin(async move {
            let open = resolving
                .await?
                .filter(|address| {
                    address::is_localhost(&host) || address::may_be_resolved_to(address.ip())
                })
                .collect::<Vec<_>>();
            if open.is_empty() {
                return Err(Closed { host }.into());
            }
            Ok(open.into_iter())
        })
    }
}

/// A response's body whose frames may not be further apart than the guest allows.
struct Paced {
    body: Incoming,
    limit: Option<Duration>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    fn new(body: Incoming, limit: Option<Duration>) -> Self {
        Self {
            body,
            limit,
            pause: None,
        }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = pin!(&mut self.body).poll_frame(cx) {
            self.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        pause
            .as_mut()
            .poll(cx)
            .map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
