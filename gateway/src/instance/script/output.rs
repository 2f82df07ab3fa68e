//! A program's standard output: a head, and then a body that streams as it is printed.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, header, response::Parts};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::{io::AsyncWrite, sync::oneshot};
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use super::{
    super::answer::Head,
    head::{BadOutput, HeadReader, ScriptHead},
    pipe::{Inlet, Outlet, pipe},
};
use crate::content;

/// The maximum that a program may print at once before its head is complete: the rest of that write goes into the body,
/// whatever its capacity.
const HEAD_PART_BYTES: usize = 16 << 10;

/// Standard output; clones write to the same response.
#[derive(Clone)]
pub(in crate::instance) struct Output(Arc<Mutex<Printed>>);

struct Printed {
    stage: Stage,
    answer: Option<oneshot::Sender<Head>>,
    /// The capacity of the body's buffer.
    room: usize,
    is_head: bool,
}

enum Stage {
    /// The head is incomplete.
    Head(HeadReader),
    /// The head is complete, without a type: no body may follow.
    Untyped(Box<Parts>),
    /// The body, with its remaining length if the head has one.
    Body(Inlet, Option<u64>),
    /// Not a valid response; the error is returned once.
    Bad(Option<BadOutput>),
}

impl Output {
    /// An output whose head goes to `answer`, with `room` bytes of buffer for its body.
    pub(in crate::instance) fn new(answer: oneshot::Sender<Head>, room: usize, is_head: bool) -> Self {
        Self(Arc::new(Mutex::new(Printed {
            stage: Stage::Head(HeadReader::default()),
            answer: Some(answer),
            room,
            is_head,
        })))
    }

    /// Ends the response.
    ///
    /// # Errors
    /// When it is invalid or incomplete.
    pub(in crate::instance) fn finish(&self) -> Result<(), BadOutput> {
        self.0.lock().finish()
    }
}

impl Printed {
    fn print(&mut self, output: &[u8]) -> Result<(), BadOutput> {
        let printed = self.try_print(output);
        if let Err(error) = &printed {
            // A response that has begun is aborted.
            self.stage = Stage::Bad(Some(error.clone()));
        }
        printed
    }

    fn try_print(&mut self, mut output: &[u8]) -> Result<(), BadOutput> {
        if let Stage::Head(reader) = &mut self.stage {
            let Some((head, rest)) = reader.read(output)? else {
                return Ok(());
            };
            output = rest;
            self.begin(head);
        }
        if output.is_empty() {
            return Ok(());
        }
        match &mut self.stage {
            Stage::Untyped(_) => Err(BadOutput::NoType),
            Stage::Body(inlet, left) => {
                if let Some(left) = left {
                    let rest = left.checked_sub(output.len() as u64);
                    *left = rest.ok_or(BadOutput::TooMuch)?;
                }
                inlet.write(output);
                Ok(())
            }
            Stage::Head(_) | Stage::Bad(_) => Ok(()),
        }
    }

    /// Sends the head, unless it is valid only without a body.
    fn begin(&mut self, ScriptHead { parts, length }: ScriptHead) {
        // The fields of a response without content describe another response.
        let is_without = self.is_head || content::is_forbidden_by(parts.status);
        if is_without || parts.headers.contains_key(header::CONTENT_TYPE) {
            self.send(parts, length.filter(|_| !is_without));
        } else {
            self.stage = Stage::Untyped(Box::new(parts));
        }
    }

    fn send(&mut self, parts: Parts, length: Option<u64>) {
        let (inlet, outlet): (Inlet, Outlet) = pipe();
        self.stage = Stage::Body(inlet, length);
        if let Some(answer) = self.answer.take() {
            // If nobody waits any more, the guest is stopped.
            let _ = answer.send(Ok(Response::from_parts(parts, outlet.boxed_unsync())));
        }
    }

    fn finish(&mut self) -> Result<(), BadOutput> {
        match std::mem::replace(&mut self.stage, Stage::Bad(None)) {
            Stage::Head(reader) => Err(reader.unended()),
            Stage::Untyped(parts) => {
                self.send(*parts, None);
                self.finish()
            }
            Stage::Body(_, Some(left @ 1..)) => Err(BadOutput::TooLittle(left)),
            Stage::Body(inlet, _) => {
                inlet.finish();
                Ok(())
            }
            // A WASI 0.2 program trapped when it printed; for WASI 0.3 it is a failed write like any other.
            Stage::Bad(error) => error.map_or(Ok(()), Err),
        }
    }

    /// The bytes that may be printed now; `None` if nobody reads them.
    fn room(&self) -> Option<usize> {
        match &self.stage {
            Stage::Head(_) | Stage::Untyped(_) => Some(HEAD_PART_BYTES),
            Stage::Body(inlet, _) => Some(self.room.saturating_sub(inlet.waiting()?)),
            Stage::Bad(_) => None,
        }
    }

    fn poll_room(&self, cx: &Context<'_>) -> Poll<Option<usize>> {
        match (self.room(), &self.stage) {
            (Some(0), Stage::Body(inlet, _)) => {
                inlet.wake_when_read(cx.waker());
                Poll::Pending
            }
            (room, _) => Poll::Ready(room),
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        poll_fn(|cx| self.0.lock().poll_room(cx)).await;
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let printed = self.0.lock().print(&bytes);
        printed.map_err(|error| StreamError::Trap(error.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.lock().room().ok_or(StreamError::Closed)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut printed = self.0.lock();
        let Poll::Ready(room) = printed.poll_room(cx) else {
            return Poll::Pending;
        };
        let room = room.ok_or(io::ErrorKind::BrokenPipe)?;
        let bytes = bytes.get(..room).unwrap_or(bytes);
        printed.print(bytes).map_err(io::Error::other)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(is_head: bool) -> (Output, oneshot::Receiver<Head>) {
        let (answer, head) = oneshot::channel();
        (Output::new(answer, 10, is_head), head)
    }

    fn print(output: &mut Output, text: &'static str) -> StreamResult<()> {
        output.write(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn the_head_goes_out_before_the_body_is_printed_and_no_more_waits_than_there_is_room_for() {
        let (mut output, mut head) = output(false);
        print(&mut output, "Content-Type: a/b\n\nabc").unwrap();
        let mut body = head.try_recv().unwrap().unwrap().into_body();
        assert_eq!(output.check_write().unwrap(), 7);
        print(&mut output, "defghij").unwrap();
        assert_eq!(output.check_write().unwrap(), 0);
        let part = body.frame().await.unwrap().unwrap();
        assert_eq!(part.into_data().unwrap(), "abcdefghij");
        output.ready().await;
        assert_eq!(output.check_write().unwrap(), 10);
        output.finish().unwrap();
        assert!(body.frame().await.is_none());
        assert!(output.check_write().is_err());
    }

    #[tokio::test]
    async fn a_head_without_a_type_is_good_where_no_body_follows() {
        let (mut redirect, mut head) = output(false);
        print(&mut redirect, "Location: https://example.com/\n\n").unwrap();
        assert!(head.try_recv().is_err());
        redirect.finish().unwrap();
        assert_eq!(head.try_recv().unwrap().unwrap().status(), 302);
        let (mut other, _head) = output(false);
        assert!(print(&mut other, "Status: 200\n\nbody").is_err());
    }

    #[tokio::test]
    async fn a_body_is_held_to_its_length_but_where_it_is_anothers() {
        let head = "Content-Type: a/b\nContent-Length: 3\n\n";
        let (mut long, _head) = output(false);
        print(&mut long, head).unwrap();
        assert!(print(&mut long, "abcd").is_err());
        let (mut short, _head) = output(false);
        print(&mut short, head).unwrap();
        print(&mut short, "ab").unwrap();
        assert_eq!(short.finish(), Err(BadOutput::TooLittle(1)));
        let (mut none, _head) = output(true);
        print(&mut none, head).unwrap();
        assert_eq!(none.finish(), Ok(()));
    }
}
