//! The stream of a connection: plain TCP, or TLS.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::records::Records;

/// The write buffer of TLS: two records, so that the next one is ready when the kernel accepts more.
const UNSENT: usize = 32 << 10;

/// The stream of a connection. TLS state is large and boxed, so that TCP connections are no larger.
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<Socket>>),
}

/// The TCP socket below TLS, which counts received bytes.
pub(super) struct Socket {
    tcp: TcpStream,
    records: Records,
    /// Bytes received since the last query.
    came: usize,
    /// Bytes that may still be received before the handshake has ended.
    left: usize,
}

impl Socket {
    /// For a handshake that may receive `most` bytes.
    pub(super) fn new(tcp: TcpStream, most: usize) -> Self {
        Self {
            tcp,
            records: Records::default(),
            came: 0,
            left: most,
        }
    }

    /// Returns the TCP stream, after a failed handshake.
    pub(super) fn into_tcp(self) -> TcpStream {
        self.tcp
    }
}

impl Stream {
    /// A stream after the TLS handshake.
    pub(super) fn secured(mut tls: TlsStream<Socket>) -> Self {
        let (socket, session) = tls.get_mut();
        session.set_buffer_limit(Some(UNSENT));
        (socket.came, socket.left) = (0, usize::MAX);
        Self::Tls(Box::new(tls))
    }

    /// The underlying TCP stream.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => &tls.get_ref().0.tcp,
        }
    }

    /// The underlying TCP stream, to discard what is received.
    pub(super) fn tcp_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => &mut tls.get_mut().0.tcp,
        }
    }

    /// The number of bytes received from the network since the last call, if it differs from the bytes read (TLS).
    pub(super) fn came(&mut self) -> usize {
        match self {
            Self::Tcp(_) => 0,
            Self::Tls(tls) => std::mem::take(&mut tls.get_mut().0.came),
        }
    }

    /// Returns whether an incomplete record has been received.
    pub(super) fn has_part(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(tls) => tls.get_ref().0.records.is_within(),
        }
    }

    /// Returns whether TLS holds unread data, or an incomplete record of it.
    pub(super) fn has_taken(&mut self) -> bool {
        let Self::Tls(tls) = self else { return false };
        let (socket, session) = tls.get_mut();
        let is_ready = session
            .process_new_packets()
            .is_ok_and(|state| state.plaintext_bytes_to_read() > 0);
        is_ready || socket.records.is_within()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            // rustls itself limits records without data: empty ones, alerts, key updates.
            Self::Tls(tls) => Pin::new(&mut **tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, pieces),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            // TCP has no buffer to flush.
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the handshake is too long")));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        let socket = &mut *self;
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        socket.records.read(bytes);
        socket.came = socket.came.saturating_add(bytes.len());
        socket.left = socket.left.saturating_sub(bytes.len());
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
