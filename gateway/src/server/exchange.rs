//! The state of one connection's current request and response, which hyper does not expose: observed from its service
//! and its bytes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering},
};

use http::StatusCode;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::stream::Stream;
use crate::unsent::Unsent;

/// Shared by the parts of one connection, which all run on one worker; it is atomic only because the types require it.
#[derive(Default)]
pub(super) struct Exchange {
    phase: AtomicU8,
    requests: AtomicU32,
    received: AtomicU32,
    /// A part of a TLS record has arrived, which TLS does not pass on before the rest.
    partial: AtomicBool,
    unread: AtomicBool,
    close_delimited: AtomicBool,
    refused: Mutex<Vec<u8>>,
    returned: Mutex<Option<Stream>>,
    /// Bytes and frames that may still be read in this turn.
    turn: (AtomicI64, AtomicI64),
    /// Bytes received since the request's head, and bytes taken of its body (HTTP/1).
    body: (AtomicU64, AtomicU64),
    /// Data frames that were consumed (HTTP/2), not yet reported to the connection.
    taken: AtomicU32,
    upload: Mutex<Held>,
    /// The client waits for `100 Continue` (HTTP/1).
    expected: AtomicBool,
    /// Notified when an upload is released.
    let_go: Notify,
    cut: AtomicU8,
    /// The last message to a client that is cut.
    goodbye: Mutex<Vec<u8>>,
    /// The bytes that are buffered for the client.
    pub(super) unsent: Arc<Unsent>,
}

/// The body of the request that is being answered (HTTP/1).
#[derive(Default)]
enum Held {
    /// It has ended, or its fate is decided.
    #[default]
    No,
    /// The handler has it and may read it.
    Yes,
    /// It was dropped before its end and before there was a response.
    Left(Incoming),
}

/// Why a connection is ended before its client ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The client reads nothing.
    SlowReader,
    /// The client sends bytes or frames that serve no request.
    Flood,
}

impl Cut {
    /// Its label in metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::SlowReader => "slow-reader",
            Self::Flood => "flood",
        }
    }
}

/// Bytes, and HTTP/2 frames, that are read in one turn: at most a fraction of a millisecond of work.
const TURN: (i64, i64) = (64 << 10, 128);

/// The allowed overhead of a chunked body, per byte: a chunk of one byte takes six.
const BYTES_FOR_ONE: u64 = 16;

/// Additional allowed bytes: what arrived with the head, and with the end of a pipelined next request.
const BYTES_BESIDES: u64 = 256 << 10;

/// How much is kept of a response that hyper generates: enough for its status.
const REFUSED_BYTES: usize = 16;

/// No byte of a request has arrived.
const IDLE: u8 = 0;
/// A request's head is arriving.
const HEAD: u8 = 1;
/// A request is being answered.
const ANSWERING: u8 = 2;
/// The response has ended, and its last bytes are being written.
const ANSWERED: u8 = 3;
/// Requests overlap (HTTP/2).
const MANY: u8 = 4;

impl Exchange {
    /// For an HTTP/2 connection.
    pub(super) fn multiplexed() -> Self {
        Self {
            phase: AtomicU8::new(MANY),
            ..Self::default()
        }
    }

    /// Bytes have arrived.
    pub(super) fn read(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let before = self.received.load(Ordering::Relaxed);
        self.received
            .store(before.saturating_add(bytes), Ordering::Relaxed);
        if self.phase() == IDLE {
            self.set(HEAD);
        }
    }

    /// Sets whether a part of a TLS record has arrived.
    pub(super) fn set_partial(&self, is_partial: bool) {
        self.partial.store(is_partial, Ordering::Relaxed);
    }

    /// Returns whether anything has arrived, if only a part.
    pub(super) fn has_come(&self) -> bool {
        self.received() > 0 || self.partial.load(Ordering::Relaxed)
    }

    /// Starts the connection's turn.
    pub(super) fn begin_turn(&self) {
        self.turn.0.store(TURN.0, Ordering::Relaxed);
        self.turn.1.store(TURN.1, Ordering::Relaxed);
    }

    /// Returns whether the turn is used up.
    pub(super) fn is_turn_over(&self) -> bool {
        self.turn.0.load(Ordering::Relaxed) <= 0 || self.turn.1.load(Ordering::Relaxed) <= 0
    }

    /// Takes bytes and frames from the turn.
    pub(super) fn spend(&self, bytes: usize, frames: u32) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.turn.0.fetch_sub(bytes, Ordering::Relaxed);
        self.turn.1.fetch_sub(frames.into(), Ordering::Relaxed);
    }

    /// Counts bytes received on an HTTP/1 connection, whose head may have `head` bytes. Returns whether they are far
    /// more than their payload: a chunk size may have any number of leading zeros.
    pub(super) fn is_hollow(&self, bytes: usize, head: usize) -> bool {
        if self.phase() != ANSWERING {
            return false;
        }
        let came = self
            .body
            .0
            .fetch_add(bytes as u64, Ordering::Relaxed)
            .saturating_add(bytes as u64);
        let taken = self.body.1.load(Ordering::Relaxed);
        let most = taken
            .saturating_mul(BYTES_FOR_ONE)
            .saturating_add(BYTES_BESIDES)
            .saturating_add(head as u64);
        came > most
    }

    /// A part of a request's body was consumed.
    pub(super) fn take(&self, bytes: usize) {
        if self.phase() != MANY {
            self.body.1.fetch_add(bytes as u64, Ordering::Relaxed);
        } else if bytes > 0 {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The number of parts consumed since the last call.
    pub(super) fn parts_taken(&self) -> u32 {
        self.taken.swap(0, Ordering::Relaxed)
    }

    /// Sets why the connection is cut, and the last message to its client.
    pub(super) fn cut(&self, why: Cut, goodbye: Option<Vec<u8>>) {
        self.cut.store(
            match why {
                Cut::SlowReader => 1,
                Cut::Flood => 2,
            },
            Ordering::Relaxed,
        );
        *self.goodbye.lock() = goodbye.unwrap_or_default();
    }

    /// Why the connection is cut, if it is.
    pub(super) fn why_cut(&self) -> Option<Cut> {
        match self.cut.load(Ordering::Relaxed) {
            1 => Some(Cut::SlowReader),
            2 => Some(Cut::Flood),
            _ => None,
        }
    }

    /// The last message to a client that is cut.
    pub(super) fn goodbye(&self) -> Vec<u8> {
        std::mem::take(&mut *self.goodbye.lock())
    }

    /// A request is passed to the service.
    pub(super) fn begin(&self, is_close_delimited: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
        self.body.0.store(0, Ordering::Relaxed);
        self.body.1.store(0, Ordering::Relaxed);
        self.close_delimited
            .store(is_close_delimited, Ordering::Relaxed);
        if self.phase() != MANY {
            self.set(ANSWERING);
        }
    }

    /// The last frame of the response was taken, or the response was aborted.
    pub(super) fn end(&self) {
        if self.phase() == ANSWERING {
            self.set(ANSWERED);
        }
    }

    /// Everything written so far has been sent.
    pub(super) fn flushed(&self) {
        if self.phase() == ANSWERED {
            self.set(IDLE);
        }
    }

    /// The handler gets the body of the latest request; `expected` if the client waits for `100 Continue`. Returns the
    /// request's number.
    pub(super) fn hold(&self, expected: bool) -> u32 {
        self.expected.store(expected, Ordering::Relaxed);
        *self.upload.lock() = Held::Yes;
        self.requests()
    }

    /// The body was polled, and so the client was told to send it.
    pub(super) fn ask(&self) {
        self.expected.store(false, Ordering::Relaxed);
    }

    /// Returns whether the client still waits for `100 Continue`.
    pub(super) fn is_expected(&self) -> bool {
        self.expected.load(Ordering::Relaxed)
    }

    /// The body of a request has ended, or its fate is decided.
    pub(super) fn let_go(&self, request: u32) {
        if request == self.requests() {
            *self.upload.lock() = Held::No;
            self.let_go.notify_one();
        }
    }

    /// It was dropped before its end. Returned if there is a response already, and nobody decides about it any more.
    pub(super) fn leave(&self, request: u32, body: Incoming) -> Option<Incoming> {
        let mut upload = self.upload.lock();
        if matches!(*upload, Held::No) || request != self.requests() {
            return Some(body);
        }
        *upload = Held::Left(body);
        self.let_go.notify_one();
        None
    }

    /// Returns whether the body's fate is decided.
    pub(super) fn is_settled(&self) -> bool {
        matches!(*self.upload.lock(), Held::No)
    }

    /// Waits until the handler has released the request's body.
    pub(super) async fn until_let_go(&self) {
        while matches!(*self.upload.lock(), Held::Yes) {
            self.let_go.notified().await;
        }
    }

    /// There is a response. Returns what is left of the request's body, and whether the handler still holds it.
    pub(super) fn answered(&self) -> (Option<Incoming>, bool) {
        match std::mem::take(&mut *self.upload.lock()) {
            Held::Left(body) => (Some(body), false),
            Held::Yes => (None, true),
            Held::No => (None, false),
        }
    }

    /// The request's body was abandoned, and reading its rest is not worth keeping the connection.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Returns whether the connection has to end because of such a body.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Returns whether the response ends with the connection (HTTP/1.0).
    pub(super) fn is_close_delimited(&self) -> bool {
        self.close_delimited.load(Ordering::Relaxed)
    }

    /// Returns whether no request has begun to arrive.
    pub(super) fn is_idle(&self) -> bool {
        self.phase() == IDLE && !self.partial.load(Ordering::Relaxed)
    }

    /// Returns whether a request's head is incomplete.
    pub(super) fn is_head(&self) -> bool {
        self.phase() == HEAD
    }

    /// Returns whether what is written now was generated by hyper.
    pub(super) fn is_unsolicited(&self) -> bool {
        matches!(self.phase(), IDLE | HEAD)
    }

    /// Stores a response that hyper generated.
    pub(super) fn refuse(&self, bytes: &[u8]) {
        let mut refused = self.refused.lock();
        let room = REFUSED_BYTES.saturating_sub(refused.len());
        refused.extend(bytes.iter().take(room));
    }

    /// The status of the response that hyper generated.
    pub(super) fn refused(&self) -> Option<StatusCode> {
        let refused = self.refused.lock();
        let status = refused.split(|byte| *byte == b' ').nth(1)?;
        StatusCode::from_bytes(status).ok()
    }

    /// The number of requests so far.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The number of bytes received, saturating.
    pub(super) fn received(&self) -> u32 {
        self.received.load(Ordering::Relaxed)
    }

    /// Returns the stream, for an orderly end.
    pub(super) fn give_back(&self, stream: Stream) {
        *self.returned.lock() = Some(stream);
    }

    /// Takes the stream, once hyper has dropped it, unless the client has closed it.
    pub(super) fn take_back(&self) -> Option<Stream> {
        self.returned.lock().take()
    }

    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    fn set(&self, phase: u8) {
        self.phase.store(phase, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_before_a_request_is_handed_over_or_after_its_answer_is_unasked() {
        let exchange = Exchange::default();
        assert!(exchange.is_idle() && exchange.is_unsolicited());
        exchange.read(1);
        assert!(exchange.is_head() && exchange.is_unsolicited());
        exchange.begin(false);
        exchange.flushed();
        assert!(!exchange.is_unsolicited(), "a flush within an answer");
        exchange.end();
        assert!(!exchange.is_unsolicited(), "its last bytes");
        exchange.flushed();
        assert!(exchange.is_idle() && exchange.is_unsolicited());
        assert_eq!((exchange.requests(), exchange.received()), (1, 1));
    }
}
