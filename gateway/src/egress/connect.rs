//! Connects to a destination: addresses, TCP, a proxy's tunnel, TLS, and the HTTP version.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::{
    client::proxy::matcher::Intercept,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, WasiBody};

use super::{
    failed::Failed,
    outgoing::Destination,
    settings::Ways,
    watched::{Watch, Watched},
};

/// The delay after which the next address is tried in parallel (RFC 8305, section 8).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// The maximum size of a response's head, and of a read of its body.
const HEAD_BYTES: usize = 128 << 10;

/// The maximum number of header fields of a response: several times what servers send.
const MAX_HEADERS: usize = 512;

/// The interval and time-out of pings on an HTTP/2 connection with requests in flight.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// A connection that is ready for a request.
pub(super) enum Connection {
    /// HTTP/1.1: one request after the other.
    Http1 {
        sender: http1::SendRequest<WasiBody>,
        watch: Arc<Watch>,
        /// The peer is a proxy, which needs the absolute URI, and the credentials if any.
        proxy: Option<Option<HeaderValue>>,
    },
    /// HTTP/2: concurrent requests.
    Http2(http2::SendRequest<WasiBody>),
}

/// A stream of bytes.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to a destination. `resolving` is true while the name is being resolved.
pub(super) async fn connect(
    to: &Destination,
    ways: &Ways,
    tls: &Arc<ClientConfig>,
    lookups: &Arc<Semaphore>,
    resolving: &AtomicBool,
) -> Result<Connection, Failed> {
    let proxy = ways.proxy_for(to)?;
    let Some(proxy) = proxy else {
        let addresses = ways.resolver().resolve(&to.host, to.port, lookups).await?;
        resolving.store(false, Ordering::Relaxed);
        let stream = tcp(&addresses).await?;
        return if to.https {
            speak(over_tls(Box::new(stream), &to.host, tls).await?).await
        } else {
            http1(Box::new(stream), None).await
        };
    };
    let stream = to_proxy(&proxy, ways, lookups, resolving).await?;
    let credentials = proxy.basic_auth().cloned();
    if to.https {
        let tunnel = tunnel(stream, to, credentials).await?;
        speak(over_tls(tunnel, &to.host, tls).await?).await
    } else {
        http1(stream, Some(credentials)).await
    }
}

/// Tries one address after the other, each a little later and in parallel ("happy eyeballs").
async fn tcp(addresses: &[SocketAddr]) -> Result<TcpStream, Failed> {
    let mut waiting = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = None;
    loop {
        match waiting.next() {
            Some(address) => attempts.push(TcpStream::connect(*address)),
            None if attempts.is_empty() => break,
            None => {}
        }
        let pause = if waiting.len() == 0 {
            Duration::MAX
        } else {
            NEXT_ADDRESS
        };
        match tokio::time::timeout(pause, attempts.next()).await {
            Ok(Some(Ok(stream))) => {
                // It is only an optimization.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Some(Err(error))) => last = Some(error),
            Ok(None) | Err(_) => {}
        }
    }
    Err(match last {
        Some(error) => Failed::from_error(&error, Error::DestinationUnavailable),
        None => Failed::new(Error::DestinationUnavailable, "there is no address"),
    })
}

async fn over_tls(
    stream: Box<dyn Stream>,
    host: &str,
    config: &Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<Box<dyn Stream>>, Failed> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| {
        Failed::new(
            Error::HttpRequestUriInvalid,
            format!("{host} can be in no certificate: {error}"),
        )
    })?;
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
        .map_err(|error| Failed::from_error(&error, Error::TlsProtocolError))
}

/// Starts the negotiated HTTP version.
async fn speak(stream: tokio_rustls::client::TlsStream<Box<dyn Stream>>) -> Result<Connection, Failed> {
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() == Some(b"h2") {
        http2(Box::new(stream)).await
    } else {
        http1(Box::new(stream), None).await
    }
}

async fn http1(stream: Box<dyn Stream>, proxy: Option<Option<HeaderValue>>) -> Result<Connection, Failed> {
    let watch = Arc::new(Watch::default());
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(&watch)));
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .handshake(stream)
        .await
        .map_err(|error| Failed::from_error(&error, Error::HttpProtocolError))?;
    // Its errors are returned by the pending request.
    tokio::spawn(connection);
    sender
        .ready()
        .await
        .map_err(|error| Failed::from_error(&error, Error::ConnectionTerminated))?;
    Ok(Connection::Http1 {
        sender,
        watch,
        proxy,
    })
}

async fn http2(stream: Box<dyn Stream>) -> Result<Connection, Failed> {
    let failed = |error: hyper::Error| Failed::from_error(&error, Error::HttpProtocolError);
    let (every, patience) = PING;
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(every)
        .keep_alive_timeout(patience)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    tokio::spawn(connection);
    sender.ready().await.map_err(failed)?;
    Ok(Connection::Http2(sender))
}

async fn to_proxy(
    proxy: &Intercept,
    ways: &Ways,
    lookups: &Arc<Semaphore>,
    resolving: &AtomicBool,
) -> Result<Box<dyn Stream>, Failed> {
    let https = proxy.uri().scheme() == Some(&http::uri::Scheme::HTTPS);
    let (host, port) = address_of(proxy.uri(), https);
    // The operator chose the proxy: none of its addresses is closed.
    let addresses = ways.resolver().any(host, port, lookups).await?;
    resolving.store(false, Ordering::Relaxed);
    let stream = tcp(&addresses).await?;
    Ok(if https {
        Box::new(over_tls(Box::new(stream), host, ways.proxy_tls()).await?)
    } else {
        Box::new(stream)
    })
}

fn address_of(proxy: &Uri, https: bool) -> (&str, u16) {
    let default = if https { 443 } else { 80 };
    (
        proxy.host().unwrap_or_default(),
        proxy.port_u16().unwrap_or(default),
    )
}

/// Asks a proxy for a tunnel (RFC 9110, 9.3.6).
async fn tunnel(
    stream: Box<dyn Stream>,
    to: &Destination,
    credentials: Option<HeaderValue>,
) -> Result<Box<dyn Stream>, Failed> {
    let failed = |error: hyper::Error| Failed::from_error(&error, Error::ConnectionTerminated);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    tokio::spawn(connection.with_upgrades());
    let authority = format!("{}:{}", to.host, to.port);
    let mut request = Request::connect(&authority)
        .header(header::HOST, &authority)
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failed::new(Error::HttpRequestUriInvalid, error.to_string()))?;
    if let Some(credentials) = credentials {
        request
            .headers_mut()
            .insert(header::PROXY_AUTHORIZATION, credentials);
    }
    let answer = sender.send_request(request).await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(refused_by_proxy(answer.status()));
    }
    let tunnel = hyper::upgrade::on(answer).await.map_err(failed)?;
    Ok(Box::new(TokioIo::new(tunnel)))
}

fn refused_by_proxy(status: StatusCode) -> Failed {
    let code = match status {
        // The operator's credentials are wrong, not the guest's request.
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Error::ConfigurationError,
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => Error::HttpRequestDenied,
        StatusCode::GATEWAY_TIMEOUT => Error::ConnectionTimeout,
        _ => Error::DestinationUnavailable,
    };
    Failed::new(code, format!("the proxy answered {status}"))
}
