//! The bytes of one connection between hyper and the socket.
//!
//! It reports what passes to the connection's [`Exchange`], holds back responses that hyper generates itself, which are
//! not problem documents, and returns the socket instead of closing it.

use std::{
    future::Future as _,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::{
    exchange::{Cut, Exchange},
    frames::Frames,
    limits::Limits,
    stream::Stream,
};

pub(super) struct Wire {
    /// `Some` until it is returned.
    stream: Option<Stream>,
    exchange: Arc<Exchange>,
    /// Bytes that were read ahead.
    read: Bytes,
    is_closed: bool,
    limits: Limits,
    /// The frame accounting of HTTP/2.
    frames: Option<Frames>,
    stall: Stall,
}

/// A write that makes no progress.
#[derive(Default)]
struct Stall {
    /// Created on first use; most clients read faster than we write.
    timer: Option<Pin<Box<Sleep>>>,
    is_still: bool,
}

impl Wire {
    /// For a stream from which `read` was read ahead.
    pub(super) fn new(stream: Stream, exchange: Arc<Exchange>, read: Bytes, limits: Limits) -> Self {
        Self {
            stream: Some(stream),
            exchange,
            read,
            is_closed: false,
            limits,
            frames: None,
            stall: Stall::default(),
        }
    }

    /// For an HTTP/2 connection.
    pub(super) fn multiplexed(stream: Stream, exchange: Arc<Exchange>, limits: Limits) -> Self {
        let mut wire = Self::new(stream, exchange, Bytes::new(), limits);
        wire.frames = Some(Frames::new());
        wire
    }

    /// Accounts for received bytes, and fails if the client floods.
    fn came(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.exchange.read(bytes.len());
        // Over TLS a byte may cost a record.
        let cost = self
            .stream
            .as_mut()
            .map_or(0, Stream::came)
            .max(bytes.len());
        let (is_flood, goodbye) = match &mut self.frames {
            Some(frames) => {
                frames.earn(self.exchange.parts_taken().into());
                let count = frames.read(bytes);
                self.exchange.spend(cost, count);
                let is_flood = frames.is_flood();
                (is_flood, is_flood.then(|| frames.goodbye()).flatten())
            }
            None => {
                self.exchange.spend(cost, 0);
                (
                    self.exchange.is_hollow(bytes.len(), self.limits.bytes),
                    None,
                )
            }
        };
        if !is_flood {
            return Ok(());
        }
        self.exchange.cut(Cut::Flood, goodbye);
        Err(io::Error::other(
            "the client sends far more than serves a request",
        ))
    }

    /// Accounts for a write, and fails if the client has read nothing for too long.
    fn wrote<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stall.is_still = false;
            return wrote;
        }
        let limit = self.limits.write;
        let timer = self
            .stall
            .timer
            .get_or_insert_with(|| Box::pin(sleep(limit)));
        if !std::mem::replace(&mut self.stall.is_still, true)
            && let Some(end) = Instant::now().checked_add(limit)
        {
            timer.as_mut().reset(end);
        }
        ready!(timer.as_mut().poll(cx));
        self.exchange.cut(Cut::SlowReader, None);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn stream(&mut self) -> io::Result<Pin<&mut Stream>> {
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
            let bytes = self.read.split_to(length);
            buffer.put_slice(&bytes);
            return Poll::Ready(self.came(&bytes));
        }
        if self.exchange.is_turn_over() {
            // Its waker runs only after the worker has polled all its sockets.
            return pin!(tokio::task::yield_now()).poll(cx).map(Ok);
        }
        let before = buffer.filled().len();
        let Poll::Ready(read) = self.stream()?.poll_read(cx, buffer) else {
            let has_part = self.stream.as_ref().is_some_and(Stream::has_part);
            self.exchange.set_partial(has_part);
            return Poll::Pending;
        };
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        self.is_closed = read.is_err() || bytes.is_empty();
        Poll::Ready(if self.is_closed {
            read
        } else {
            self.came(bytes)
        })
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.exchange.is_unsolicited() {
            self.exchange.refuse(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let wrote = self.stream()?.poll_write(cx, bytes);
        if let (Poll::Ready(Ok(length)), Some(frames)) = (&wrote, &mut self.frames) {
            frames.wrote(bytes.get(..*length).unwrap_or_default());
        }
        self.wrote(cx, wrote)
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
        let wrote = self.stream()?.poll_write_vectored(cx, pieces);
        if let (Poll::Ready(Ok(length)), Some(frames)) = (&wrote, &mut self.frames) {
            let mut left = *length;
            for piece in pieces {
                let part = piece.get(..left.min(piece.len())).unwrap_or_default();
                frames.wrote(part);
                left = left.saturating_sub(part.len());
            }
        }
        self.wrote(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream()?.poll_flush(cx);
        ready!(self.wrote(cx, flushed))?;
        self.exchange.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
