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

/// The time for which a client may go on sending after our end. A socket that is closed while bytes come in resets the
/// connection, and what the client has not read by then is lost (RFC 9112, 9.6); so we read on until it has seen the
/// answer.
pub(super) const LINGER_TIME: Duration = Duration::from_secs(10);

/// The time for which it may be silent meanwhile without closing its side.
pub(super) const LINGER_PAUSE: Duration = Duration::from_secs(2);

/// The bytes that it may send meanwhile: more than most uploads that come to an early answer.
pub(super) const LINGER_BYTES: u64 = 256 << 20;

/// The time and the bytes for which a client is read on that has sent too much already.
const DISMISS_TIME: Duration = Duration::from_secs(1);
const DISMISS_BYTES: u64 = 16 << 20;

/// The bytes that are read at once.
const LINGER_BUFFER: usize = 16 << 10;

/// Closes our side and reads on until the client closes its own, or a limit is reached.
pub(super) async fn linger(mut stream: Stream) {
    if close(&mut stream).await {
        let _ = timeout(LINGER_TIME, swallow(stream.tcp_mut(), LINGER_BYTES)).await;
    }
}

/// Closes our side, which over TLS takes a last record: whoever reads nothing keeps it from going out. What comes from
/// now on is of no interest, and so over TLS it is not even decrypted.
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

/// Says a last word to a client that sends without end, and reads for a moment what is on its way: whoever only has a
/// mistake in it sees the word.
pub(super) async fn dismiss(stream: &mut Stream, goodbye: &[u8]) {
    let said = timeout(LINGER_PAUSE, stream.write_all(goodbye)).await;
    if matches!(said, Ok(Ok(()))) && close(stream).await {
        let _ = timeout(DISMISS_TIME, swallow(stream.tcp_mut(), DISMISS_BYTES)).await;
    }
}

/// Ends a connection so that the client cannot take what it has for all of it.
pub(super) fn reset(stream: &Stream) {
    let _ = SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO));
}

/// Returns whether bytes have come that nobody has read.
pub(super) fn has_unread(stream: &TcpStream) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    SockRef::from(stream)
        .peek(&mut byte)
        .is_ok_and(|bytes| bytes > 0)
}

/// Writes a whole answer by hand where no request could be understood, and says that it is the last one.
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
