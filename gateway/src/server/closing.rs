//! Closes a connection so that the last response arrives, although the client may still be sending.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::Response;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::stream::Stream;

/// How long a client may keep sending after we closed our side. Closing a socket with unread bytes resets the
/// connection, and the client loses what it has not read yet (RFC 9112, 9.6); so we read until it has seen the
/// response.
pub(super) const LINGER_TIME: Duration = Duration::from_secs(10);

/// How long it may be silent meanwhile without closing its side.
pub(super) const LINGER_PAUSE: Duration = Duration::from_secs(2);

/// How much it may send meanwhile: more than most uploads that get an early response.
pub(super) const LINGER_BYTES: u64 = 256 << 20;

/// How long and how much a client is read that has already sent too much.
const DISMISS_TIME: Duration = Duration::from_secs(1);
const DISMISS_BYTES: u64 = 16 << 20;

/// The size of the read buffer.
const LINGER_BUFFER: usize = 16 << 10;

/// Closes our side, and reads until the client closes its own or a limit is reached.
pub(super) async fn linger(mut stream: Stream) {
    if close(&mut stream).await {
        let _ = timeout(LINGER_TIME, swallow(stream.tcp_mut(), LINGER_BYTES)).await;
    }
}

/// Closes our side, which over TLS sends a last record: a client that does not read can block it. What arrives from now
/// on is discarded, and over TLS not even decrypted.
async fn close(stream: &mut Stream) -> bool {
    matches!(timeout(LINGER_PAUSE, stream.shutdown()).await, Ok(Ok(())))
}

async fn swallow(stream: &mut TcpStream, mut left: u64) {
    let mut buffer = vec![0; LINGER_BUFFER];
    while let Ok(Ok(bytes)) = timeout(LINGER_PAUSE, stream.read(&mut buffer)).await {
        left = left.saturating_sub(bytes as u64);
        if bytes == 0 || left == 0 {
            return;
        }
    }
}

/// Sends a last message to a client that floods, and reads for a moment what is in flight, so that a client with a mere
/// bug can see the message.
pub(super) async fn dismiss(stream: &mut Stream, goodbye: &[u8]) {
    let said = timeout(LINGER_PAUSE, stream.write_all(goodbye)).await;
    if matches!(said, Ok(Ok(()))) && close(stream).await {
        let _ = timeout(DISMISS_TIME, swallow(stream.tcp_mut(), DISMISS_BYTES)).await;
    }
}

/// Resets a connection, so that the client cannot take a truncated response for a complete one.
pub(super) fn reset(stream: &Stream) {
    let _ = SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO));
}

/// Returns whether there are unread bytes.
pub(super) fn has_unread(stream: &TcpStream) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    SockRef::from(stream)
        .peek(&mut byte)
        .is_ok_and(|bytes| bytes > 0)
}

/// Writes a complete response where no request could be parsed, with `connection: close`.
pub(super) async fn answer(stream: &mut Stream, response: Response<Bytes>) {
    let (head, body) = response.into_parts();
    let reason = head.status.canonical_reason().unwrap_or_default();
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut bytes = String::new();
    // Writing into a string cannot fail.
    let _ = write!(bytes, "HTTP/1.1 {} {reason}\r\n", head.status.as_u16());
    for (name, value) in &head.headers {
        let _ = write!(bytes, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    let _ = write!(
        bytes,
        "content-length: {}\r\nconnection: close\r\ndate: {date}\r\n\r\n",
        body.len()
    );
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(&body);
    let _ = timeout(LINGER_PAUSE, stream.write_all(&bytes)).await;
    let _ = timeout(LINGER_PAUSE, stream.flush()).await;
}
