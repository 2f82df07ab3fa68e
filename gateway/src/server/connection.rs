//! One connection: HTTP/1.1, or HTTP/2 for clients that open with its preface.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;

use crate::config::Server as ServerConfig;
use crate::gateway::{Arrival, Gateway};

/// How HTTP/2's preface begins (RFC 9113, 3.4); no method of HTTP/1 does.
const PREFACE: [u8; 3] = *b"PRI";

/// How long to wait for the rest of a preface of which less than three bytes have come.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

/// Requests at once on one HTTP/2 connection: what browsers and proxies expect at least (RFC 9113, 6.5.2).
const HTTP2_STREAMS: u32 = 200;

/// Without an answer to a ping for this long, an HTTP/2 client is gone.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// Serves one connection to its end.
pub(super) fn serve(
    stream: TcpStream,
    arrival: Arrival,
    gateway: Arc<Gateway>,
    config: &ServerConfig,
    watcher: Watcher,
) -> impl Future<Output = ()> + use<> {
    let (header_timeout, request_head) = (config.header_timeout, config.request_head);
    async move {
        // A small answer is one write already; waiting for more to send would only delay it.
        let _ = stream.set_nodelay(true);
        let opened = tokio::time::timeout(header_timeout, opens_with_preface(&stream)).await;
        let Ok(Ok(is_http2)) = opened else { return };
        let service = service_fn(move |request| {
            let (gateway, arrival) = (Arc::clone(&gateway), arrival.clone());
            async move { Ok::<_, Infallible>(gateway.handle(request, &arrival).await) }
        });
        let io = TokioIo::new(stream);
        let ended = if is_http2 {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(HTTP2_STREAMS)
                .max_header_list_size(u32::try_from(request_head).unwrap_or(u32::MAX))
                .keep_alive_interval(HTTP2_PING)
                .keep_alive_timeout(HTTP2_PING)
                .serve_connection(io, service);
            watcher.watch(connection).await
        } else {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(header_timeout)
                .max_buf_size(request_head)
                .serve_connection(io, service);
            watcher.watch(connection).await
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Looks at the first bytes without taking them.
async fn opens_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut start).await?;
        let (seen, expected) = (start.get(..length), PREFACE.get(..length));
        match length {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if seen != expected => return Ok(false),
            _ if length == PREFACE.len() => return Ok(true),
            _ => tokio::time::sleep(PREFACE_PAUSE).await,
        }
    }
}
