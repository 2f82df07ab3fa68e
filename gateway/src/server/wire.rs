//! The bytes of one connection between hyper and the socket.
//!
//! It tells the connection's [`Exchange`] what passes, keeps back what hyper answers of itself, which is no problem
//! document, and gives the socket back in place of closing it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::exchange::Exchange;

pub(super) struct Wire {
    /// There until it is given back.
    stream: Option<TcpStream>,
    exchange: Arc<Exchange>,
    /// Bytes that have been read before.
    read: Bytes,
    is_closed: bool,
}

impl Wire {
    /// Of a stream from which these bytes have been `read` already.
    pub(super) fn new(stream: TcpStream, exchange: Arc<Exchange>, read: Bytes) -> Self {
        Self {
            stream: Some(stream),
            exchange,
            read,
            is_closed: false,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take()
            && !self.is_closed
        {
            self.exchange.give_back(stream);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let length = self.read.len().min(buffer.remaining());
            buffer.put_slice(&self.read.split_to(length));
            self.exchange.read(length);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = ready!(self.stream()?.poll_read(cx, buffer));
        let bytes = buffer.filled().len().saturating_sub(before);
        self.is_closed = read.is_err() || bytes == 0;
        if bytes > 0 {
            self.exchange.read(bytes);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.exchange.is_unsolicited() {
            self.exchange.refuse(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.exchange.is_unsolicited() {
            let mut bytes = 0_usize;
            for piece in pieces {
                self.exchange.refuse(piece);
                bytes = bytes.saturating_add(piece.len());
            }
            return Poll::Ready(Ok(bytes));
        }
        self.stream()?.poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TCP has no buffer of ours.
        self.exchange.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
