//! One connection: HTTP/1.1, or HTTP/2 if the client opens with its preface.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior},
};

use super::{
    closing,
    drain::{Drain, GRACE},
    exchange::{Cut, Exchange},
    handler::{Handler, document},
    handshake::Handshake,
    limits::Limits,
    service::Service,
    stream::Stream,
    streams::{LOOKS, Streams},
    tls::is_plain_http,
    wire::Wire,
};
use crate::{
    error::{Failure, TLS_REQUIRED, tls_required},
    request_headers::RequestId,
};

/// The beginning of HTTP/2's preface (RFC 9113, 3.4); no request of HTTP/1 does, although a method may begin with the
/// same letters.
const PREFACE: [u8; 6] = *b"PRI * ";

/// The pause between two checks of an incomplete preface.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

/// The minimum that an HTTP/2 client sends before its first request: the preface and an empty SETTINGS frame.
const GREETING_BYTES: u32 = 24 + 9;

/// The maximum of concurrent streams of one HTTP/2 connection: what browsers and proxies expect at least (RFC 9113,
/// 6.5.2).
const HTTP2_STREAMS: u32 = 200;

/// Without an answer to a ping for this long, an HTTP/2 client is gone.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// What the library buffers for a stream besides its window: one frame is sent while the next one is made.
const HTTP2_SEND_BUFFER: usize = 64 << 10;

/// The header fields that hyper keeps on its stack; a higher limit costs allocations for every request.
const FIELDS_ON_STACK: usize = 100;

/// A connection's settings.
pub(super) struct Connection<S> {
    pub(super) service: S,
    pub(super) limits: Limits,
    pub(super) drain: Drain,
    /// `Some` if the client must use TLS.
    pub(super) tls: Option<Handshake>,
}

impl<S: Service> Connection<S> {
    /// Serves the connection until it ends.
    pub(super) async fn serve(self, stream: TcpStream) {
        // A small response is one write already; Nagle's algorithm would only delay it.
        let _ = stream.set_nodelay(true);
        let opened = match &self.tls {
            None => self
                .unless_silent(&stream, opens_with_preface(&stream))
                .await
                .map(|is_http2| (Stream::Tcp(stream), is_http2)),
            // Boxed, so that connections without TLS are no larger.
            Some(tls) => Box::pin(self.open_tls(tls, stream)).await,
        };
        match opened {
            Some((stream, true)) => self.http2(stream).await,
            Some((stream, false)) => self.http1(stream).await,
            None => {}
        }
    }

    /// Inspects the first bytes; `None` if the client stays silent.
    async fn unless_silent<T>(&self, stream: &TcpStream, peeked: impl Future<Output = io::Result<T>>) -> Option<T> {
        let peeked = tokio::time::timeout(self.limits.time, peeked);
        let silent = async {
            self.drain.stopping().await;
            tokio::time::sleep(GRACE).await;
            if closing::has_unread(stream) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            opened = peeked => opened.ok()?.ok(),
            () = silent => None,
        }
    }

    /// Performs the TLS handshake, within the time-out for a head; returns whether the client negotiated HTTP/2.
    async fn open_tls(&self, tls: &Handshake, stream: TcpStream) -> Option<(Stream, bool)> {
        let deadline = Instant::now().checked_add(self.limits.time)?;
        let first = self.unless_silent(&stream, first_byte(&stream)).await;
        let (result, told) = match first {
            None => ("silent", None),
            Some(first) if is_plain_http(first) => {
                self.service.refused_by(TLS_REQUIRED);
                let mut stream = Stream::Tcp(stream);
                closing::answer(&mut stream, tls_required()).await;
                closing::linger(stream).await;
                ("plain-http", None)
            }
            Some(_) => match tokio::time::timeout_at(deadline, tls.agree(stream)).await {
                Ok(Ok(opened)) => ("done", Some(opened)),
                Ok(Err((error, stream))) => {
                    tracing::debug!(%error, "a client and we did not agree on TLS");
                    // Unread bytes would reset the connection, and the alert would be lost.
                    closing::dismiss(&mut Stream::Tcp(stream), &[]).await;
                    ("failed", None)
                }
                Err(_) => ("timeout", None),
            },
        };
        tls.count(result);
        told
    }

    async fn http1(&self, mut stream: Stream) {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.time)
            .max_buf_size(self.limits.bytes)
            .max_header_size(self.limits.bytes);
        if self.limits.fields != FIELDS_ON_STACK {
            builder.max_headers(self.limits.fields);
        }
        let mut read = Bytes::new();
        loop {
            let exchange = Arc::new(Exchange::default());
            let io = TokioIo::new(Wire::new(stream, Arc::clone(&exchange), read, self.limits));
            let handler = self.handler(&exchange).into_service();
            let mut connection = builder.serve_connection(io, handler);
            let ended = tokio::select! {
                biased;
                ended = in_turns(Pin::new(&mut connection), &exchange) => Some(ended),
                () = self.drain.quiet(&exchange) => None,
            };
            read = connection.into_parts().read_buf;
            let Some(mut returned) = exchange.take_back() else {
                return;
            };
            match ended {
                // Something has arrived after all.
                None if !read.is_empty() || returned.has_taken() || closing::has_unread(returned.tcp()) => {
                    stream = returned;
                }
                None => return,
                Some(ended) => return self.end(returned, &exchange, ended).await,
            }
        }
    }

    /// Ends an HTTP/1 connection whose client has not closed it.
    async fn end(&self, mut stream: Stream, exchange: &Exchange, ended: hyper::Result<()>) {
        if exchange.why_cut().is_some() {
            return self.cut(stream, exchange).await;
        }
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
            if let Some(failure) = misunderstood(exchange, &error) {
                self.service.refused(&failure);
                let id = RequestId::fresh();
                tracing::info!(
                    request_id = id.as_str(),
                    reason = failure.reason(),
                    "a request was not understood"
                );
                closing::answer(&mut stream, document(&failure, false, &id)).await;
            } else if exchange.is_head() || exchange.is_idle() {
                return;
            } else if exchange.is_close_delimited() {
                return closing::reset(&stream);
            }
        }
        closing::linger(stream).await;
    }

    /// Ends a connection because of its client.
    async fn cut(&self, mut stream: Stream, exchange: &Exchange) {
        let Some(why) = exchange.why_cut() else {
            return;
        };
        self.service.cut(why.reason(), 1);
        match why {
            // Otherwise the kernel would keep retransmitting what it has.
            Cut::SlowReader => closing::reset(&stream),
            Cut::Flood => closing::dismiss(&mut stream, &exchange.goodbye()).await,
        }
    }

    async fn http2(&self, stream: Stream) {
        let exchange = Arc::new(Exchange::multiplexed());
        let io = TokioIo::new(Wire::multiplexed(
            stream,
            Arc::clone(&exchange),
            self.limits,
        ));
        {
            let streams = Streams::default();
            let connection = http2::Builder::new(streams.clone())
                .timer(TokioTimer::new())
                .max_concurrent_streams(HTTP2_STREAMS)
                .max_header_list_size(self.limits.http2_list())
                .max_send_buf_size(HTTP2_SEND_BUFFER)
                .keep_alive_interval(HTTP2_PING)
                .keep_alive_timeout(HTTP2_PING)
                .serve_connection(io, self.handler(&exchange).into_service());
            let mut connection = pin!(connection);
            let (mut greeting, mut stopping) = (
                pin!(tokio::time::sleep(self.limits.time)),
                pin!(self.drain.stopping()),
            );
            let mut look = tokio::time::interval(self.limits.write / LOOKS);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut is_greeted, mut is_stopping) = (false, false);
            loop {
                tokio::select! {
                    biased;
                    ended = in_turns(connection.as_mut(), &exchange) => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection ended early");
                        }
                        break;
                    }
                    () = greeting.as_mut(), if !is_greeted => {
                        is_greeted = true;
                        if exchange.received() < GREETING_BYTES {
                            break;
                        }
                    }
                    _ = look.tick() => {
                        let stalled = streams.look();
                        if stalled.ended > 0 {
                            self.service.cut("slow-stream", stalled.ended);
                        }
                        if stalled.connection {
                            exchange.cut(Cut::SlowReader, None);
                            break;
                        }
                    }
                    () = stopping.as_mut(), if !is_stopping => {
                        is_stopping = true;
                        connection.as_mut().graceful_shutdown();
                        if !exchange.has_come() && let Some(soon) = Instant::now().checked_add(GRACE) {
                            is_greeted = false;
                            greeting.as_mut().reset(soon);
                        }
                    }
                }
            }
        }
        let Some(stream) = exchange.take_back() else {
            return;
        };
        if exchange.why_cut().is_some() {
            self.cut(stream, &exchange).await;
        } else {
            closing::linger(stream).await;
        }
    }

    fn handler(&self, exchange: &Arc<Exchange>) -> Handler<S> {
        Handler {
            service: self.service.clone(),
            limits: self.limits,
            drain: self.drain.clone(),
            exchange: Arc::clone(exchange),
        }
    }
}

/// Polls a connection in turns: the others on its worker run in between.
async fn in_turns<C: Future>(mut connection: Pin<&mut C>, exchange: &Exchange) -> C::Output {
    poll_fn(|cx| {
        exchange.begin_turn();
        connection.as_mut().poll(cx)
    })
    .await
}

/// The response to a request that hyper could not parse, or that timed out.
fn misunderstood(exchange: &Exchange, error: &hyper::Error) -> Option<Failure> {
    match exchange.refused() {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => Some(Failure::RequestHeadTooLarge),
        Some(StatusCode::URI_TOO_LONG) => Some(Failure::TargetTooLong),
        Some(_) => Some(Failure::BadRequest),
        None if error.is_timeout() && exchange.is_head() => Some(Failure::RequestTimeout),
        None => None,
    }
}

/// Peeks at the first bytes.
///
/// Kept by hand: hyper-util's `auto` waits for them without a timer, so that a client that says nothing keeps its
/// connection (hyper #3756, #3962), and it can tell neither a silent client nor a draining one.
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

/// Peeks at the first byte.
async fn first_byte(stream: &TcpStream) -> io::Result<u8> {
    let mut first = [0];
    match (stream.peek(&mut first).await?, first) {
        (0, _) => Err(io::ErrorKind::UnexpectedEof.into()),
        (_, [first]) => Ok(first),
    }
}
