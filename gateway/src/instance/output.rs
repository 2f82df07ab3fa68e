//! The output of a guest: each line of its stdout and stderr becomes an event in the gateway's log, with package and
//! request id.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use super::budget::{RequestBudget, in_log};
use crate::{account::Account, request_headers::RequestId};

/// A longer line is split into events of this size, so that a guest cannot make the gateway buffer its output.
const MAX_LINE_BYTES: usize = 8 << 10;

/// The maximum that a guest may write at once: wasmtime passes it on as a whole.
const MAX_WRITE_BYTES: usize = 1 << 20;

/// The maximum of bytes of a context in the log.
const MAX_CONTEXT_BYTES: usize = 256;

/// One of the two streams, or a message by `wasi:logging`.
#[derive(Debug, Clone)]
pub(super) enum Stream {
    Stdout,
    Stderr,
    Logged { level: LogLevel, context: String },
}

/// A level of `wasi:logging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    /// Logged as an error that is marked as critical.
    Critical,
}

impl LogLevel {
    /// Returns whether this level is enabled: disabled lines use no budget.
    pub(super) fn is_shown(self) -> bool {
        match self {
            Self::Trace => tracing::enabled!(target: "guest", tracing::Level::TRACE),
            Self::Debug => tracing::enabled!(target: "guest", tracing::Level::DEBUG),
            Self::Info => tracing::enabled!(target: "guest", tracing::Level::INFO),
            Self::Warn => tracing::enabled!(target: "guest", tracing::Level::WARN),
            Self::Error | Self::Critical => tracing::enabled!(target: "guest", tracing::Level::ERROR),
        }
    }
}

impl Stream {
    /// The lines of one message.
    pub(super) fn logged(level: LogLevel, context: &str) -> Self {
        let mut end = context.len().min(MAX_CONTEXT_BYTES);
        while !context.is_char_boundary(end) {
            end -= 1;
        }
        let context = context.get(..end).unwrap_or_default().to_owned();
        Self::Logged { level, context }
    }
}

/// One of a guest's streams; clones share the line that is not yet whole.
#[derive(Clone)]
pub(super) struct GuestOutput(Arc<Mutex<Lines>>);

struct Lines {
    account: Arc<Account>,
    request_id: RequestId,
    stream: Stream,
    line: Vec<u8>,
    budget: Arc<RequestBudget>,
}

impl GuestOutput {
    pub(super) fn new(
        account: Arc<Account>,
        request_id: RequestId,
        stream: Stream,
        budget: Arc<RequestBudget>,
    ) -> Self {
        Self(Arc::new(Mutex::new(Lines {
            account,
            request_id,
            stream,
            line: Vec::new(),
            budget,
        })))
    }

    /// Ends the output of a request: an unterminated line is a line too.
    pub(super) fn end(&self) {
        self.0.lock().end();
    }

    /// Switches to another request.
    pub(super) fn turn_to(&self, request_id: &RequestId, budget: &Arc<RequestBudget>) {
        let mut lines = self.0.lock();
        lines.request_id = request_id.clone();
        lines.budget = Arc::clone(budget);
    }

    /// Logs a complete text: an unterminated line is a line too.
    pub(super) fn print(self, text: &str) {
        self.0.lock().write(text.as_bytes());
    }
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            if self.budget.is_spent() {
                // Without a budget there is no need to split lines.
                self.line.clear();
                return self.drop_lines(lines_in(left));
            }
            let end = left.iter().position(|byte| *byte == b'\n');
            let (mut line, after) = left.split_at(end.map_or(left.len(), |at| at + 1));
            left = after;
            while !line.is_empty() {
                let room = MAX_LINE_BYTES.saturating_sub(self.line.len());
                let (piece, after) = line.split_at(room.min(line.len()));
                self.line.extend_from_slice(piece);
                line = after;
                if self.line.ends_with(b"\n") || self.line.len() >= MAX_LINE_BYTES {
                    self.emit();
                }
            }
        }
    }

    fn drop_lines(&self, lines: u64) {
        self.account.metrics().output_dropped.inc_by(lines);
        self.account.log.dropped(lines);
    }

    /// Logs how much was dropped, in one line for all requests of the package.
    fn tell_dropped(&self) {
        if let Some(lines) = self.account.log.take_unreported() {
            tracing::warn!(package = %self.account.name(), request_id = self.request_id.as_str(), lines,
                "guests of the package print too much; lines are dropped");
        }
    }

    fn end(&mut self) {
        if !self.line.is_empty() {
            self.emit();
        }
        self.tell_dropped();
    }

    fn emit(&mut self) {
        let bytes = in_log(&self.line);
        let of_request = self.budget.admits(bytes);
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            // Blank lines are not logged.
        } else if of_request && self.account.log.admits(bytes) {
            // The log's formatter escapes all other control characters.
            match text.contains('\r') {
                true => self.tell(&text.replace('\r', "\\r")),
                false => self.tell(text),
            }
        } else {
            self.drop_lines(1);
        }
        self.line.clear();
    }

    fn tell(&self, text: &str) {
        let (package, request_id) = (self.account.name().as_str(), self.request_id.as_str());
        let (level, context) = match &self.stream {
            Stream::Stdout => {
                return tracing::info!(target: "guest", package, request_id, stream = "stdout", "{text}");
            }
            Stream::Stderr => {
                return tracing::warn!(target: "guest", package, request_id, stream = "stderr", "{text}");
            }
            Stream::Logged { level, context } => (level, context.as_str()),
        };
        match level {
            LogLevel::Trace => tracing::trace!(target: "guest", package, request_id, context, "{text}"),
            LogLevel::Debug => tracing::debug!(target: "guest", package, request_id, context, "{text}"),
            LogLevel::Info => tracing::info!(target: "guest", package, request_id, context, "{text}"),
            LogLevel::Warn => tracing::warn!(target: "guest", package, request_id, context, "{text}"),
            LogLevel::Error => tracing::error!(target: "guest", package, request_id, context, "{text}"),
            LogLevel::Critical => {
                tracing::error!(target: "guest", package, request_id, context, critical = true, "{text}");
            }
        }
    }
}

/// Counts the lines of a text that is not empty; the last one may be unterminated.
fn lines_in(bytes: &[u8]) -> u64 {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
    ends as u64 + u64::from(!bytes.ends_with(b"\n"))
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.end();
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > MAX_WRITE_BYTES {
            return Err(StreamError::trap(
                "more was written than check-write allowed",
            ));
        }
        self.0.lock().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE_BYTES)
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // A WASI 0.3 stream passes everything that the guest offers.
        let bytes = bytes.get(..MAX_WRITE_BYTES).unwrap_or(bytes);
        self.0.lock().write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
