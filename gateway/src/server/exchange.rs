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

/// Shared by the parts of one connection, which all run on one worker: atomics only because Rust asks for them.
#[derive(Default)]
pub(super) struct Exchange {
    phase: AtomicU8,
    requests: AtomicU32,
    received: AtomicU32,
    /// A part of something is here that TLS does not hand over before the rest has come.
    partial: AtomicBool,
    unread: AtomicBool,
    close_delimited: AtomicBool,
    refused: Mutex<Vec<u8>>,
    returned: Mutex<Option<Stream>>,
    /// Bytes and frames that may still be read before others have their turn.
    turn: (AtomicI64, AtomicI64),
    /// Bytes that came since the head of the request, and what was taken of its body (HTTP/1).
    body: (AtomicU64, AtomicU64),
    /// Frames of data that were taken (HTTP/2), until the connection knows of them.
    taken: AtomicU32,
    upload: Mutex<Held>,
    /// The client waits for our word before it sends the body of its request (HTTP/1).
    expected: AtomicBool,
    /// Told when an upload is let go.
    let_go: Notify,
    cut: AtomicU8,
    /// The last words to a client that is cut.
    goodbye: Mutex<Vec<u8>>,
    /// The bytes that wait for the client.
    pub(super) unsent: Arc<Unsent>,
}

/// The body of the request that is being answered (HTTP/1).
#[derive(Default)]
enum Held {
    /// It has ended, or what becomes of it is decided.
    #[default]
    No,
    /// Whoever answers has it and may read it.
    Yes,
    /// It was let go before its end and before there was an answer.
    Left(Incoming),
}

/// Why a connection is ended before its client ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The client took nothing of what is there for it.
    SlowReader,
    /// The client sends what serves no request.
    Flood,
}

impl Cut {
    /// The word for it in metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::SlowReader => "slow-reader",
            Self::Flood => "flood",
        }
    }
}

/// The bytes, and the frames of HTTP/2, that are read in one turn: what takes a fraction of a millisecond, whatever it
/// is.
const TURN: (i64, i64) = (64 << 10, 128);

/// The bytes that a body in chunks may take for each byte in it: a chunk of one byte takes six.
const BYTES_FOR_ONE: u64 = 16;

/// The bytes that it may take besides: what came with the head, and of a next request with the end.
const BYTES_BESIDES: u64 = 256 << 10;

/// The bytes that are kept of what hyper answers of itself: enough for its status.
const REFUSED_BYTES: usize = 16;

/// No byte of a request is here.
const IDLE: u8 = 0;
/// A request's head is on its way.
const HEAD: u8 = 1;
/// A request is being answered.
const ANSWERING: u8 = 2;
/// The answer has ended, and its last bytes are on their way out.
const ANSWERED: u8 = 3;
/// Requests overlap (HTTP/2).
const MANY: u8 = 4;

impl Exchange {
    /// Of an HTTP/2 connection.
    pub(super) fn multiplexed() -> Self {
        Self {
            phase: AtomicU8::new(MANY),
            ..Self::default()
        }
    }

    /// Bytes have come.
    pub(super) fn read(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let before = self.received.load(Ordering::Relaxed);
        self.received
            .store(before.saturating_add(bytes), Ordering::Relaxed);
        if self.phase() == IDLE {
            self.set(HEAD);
        }
    }

    /// A part of something has come that is not handed over before the rest is there, or there is none such.
    pub(super) fn set_partial(&self, is_partial: bool) {
        self.partial.store(is_partial, Ordering::Relaxed);
    }

    /// Returns whether anything has come, if only a part.
    pub(super) fn has_come(&self) -> bool {
        self.received() > 0 || self.partial.load(Ordering::Relaxed)
    }

    /// The connection has its turn.
    pub(super) fn begin_turn(&self) {
        self.turn.0.store(TURN.0, Ordering::Relaxed);
        self.turn.1.store(TURN.1, Ordering::Relaxed);
    }

    /// Returns whether enough was read for now.
    pub(super) fn is_turn_over(&self) -> bool {
        self.turn.0.load(Ordering::Relaxed) <= 0 || self.turn.1.load(Ordering::Relaxed) <= 0
    }

    /// Takes from the turn.
    pub(super) fn spend(&self, bytes: usize, frames: u32) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.turn.0.fetch_sub(bytes, Ordering::Relaxed);
        self.turn.1.fetch_sub(frames.into(), Ordering::Relaxed);
    }

    /// Bytes have come on an HTTP/1 connection, whose head may have `head` bytes. Returns whether they are far more
    /// than what they carry: the size of a chunk may have zeros before it without end.
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

    /// A part of a request's body was taken.
    pub(super) fn take(&self, bytes: usize) {
        if self.phase() != MANY {
            self.body.1.fetch_add(bytes as u64, Ordering::Relaxed);
        } else if bytes > 0 {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The number of parts that were taken since this was last asked.
    pub(super) fn parts_taken(&self) -> u32 {
        self.taken.swap(0, Ordering::Relaxed)
    }

    /// Notes why the connection is ended, and the last words to its client.
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

    /// Why the connection is ended, if its client has not ended it.
    pub(super) fn why_cut(&self) -> Option<Cut> {
        match self.cut.load(Ordering::Relaxed) {
            1 => Some(Cut::SlowReader),
            2 => Some(Cut::Flood),
            _ => None,
        }
    }

    /// The last words to a client that is cut.
    pub(super) fn goodbye(&self) -> Vec<u8> {
        std::mem::take(&mut *self.goodbye.lock())
    }

    /// A request is handed to the service.
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

    /// The last frame of the answer has been taken, or the answer was given up.
    pub(super) fn end(&self) {
        if self.phase() == ANSWERING {
            self.set(ANSWERED);
        }
    }

    /// Everything written so far has gone out.
    pub(super) fn flushed(&self) {
        if self.phase() == ANSWERED {
            self.set(IDLE);
        }
    }

    /// The body of the latest request is handed to whoever answers, and the client sends it at our word alone if that
    /// is `expected`; tells which request that is.
    pub(super) fn hold(&self, expected: bool) -> u32 {
        self.expected.store(expected, Ordering::Relaxed);
        *self.upload.lock() = Held::Yes;
        self.requests()
    }

    /// Somebody has asked for the body, and so the client was told to send it.
    pub(super) fn ask(&self) {
        self.expected.store(false, Ordering::Relaxed);
    }

    /// Returns whether the client waits for our word still.
    pub(super) fn is_expected(&self) -> bool {
        self.expected.load(Ordering::Relaxed)
    }

    /// The body of a request has ended, or what becomes of it is decided.
    pub(super) fn let_go(&self, request: u32) {
        if request == self.requests() {
            *self.upload.lock() = Held::No;
            self.let_go.notify_one();
        }
    }

    /// It was let go before its end. Given back where there is an answer already, and nobody asks for it any more.
    pub(super) fn leave(&self, request: u32, body: Incoming) -> Option<Incoming> {
        let mut upload = self.upload.lock();
        if matches!(*upload, Held::No) || request != self.requests() {
            return Some(body);
        }
        *upload = Held::Left(body);
        self.let_go.notify_one();
        None
    }

    /// Returns whether nothing of a body is left to be decided.
    pub(super) fn is_settled(&self) -> bool {
        matches!(*self.upload.lock(), Held::No)
    }

    /// Returns when whoever answers has let the request's body go.
    pub(super) async fn until_let_go(&self) {
        while matches!(*self.upload.lock(), Held::Yes) {
            self.let_go.notified().await;
        }
    }

    /// There is an answer. What was left of the request's body, or that it is held still.
    pub(super) fn answered(&self) -> (Option<Incoming>, bool) {
        match std::mem::take(&mut *self.upload.lock()) {
            Held::Left(body) => (Some(body), false),
            Held::Yes => (None, true),
            Held::No => (None, false),
        }
    }

    /// The request's body was given up, and there is more of it than is worth reading for the sake of the connection.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Returns whether the connection cannot go on because of such a body.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Returns whether only the end of the connection ends the answer (HTTP/1.0).
    pub(super) fn is_close_delimited(&self) -> bool {
        self.close_delimited.load(Ordering::Relaxed)
    }

    /// Returns whether no request has begun to come.
    pub(super) fn is_idle(&self) -> bool {
        self.phase() == IDLE && !self.partial.load(Ordering::Relaxed)
    }

    /// Returns whether a request's head has begun to come, and has not ended.
    pub(super) fn is_head(&self) -> bool {
        self.phase() == HEAD
    }

    /// Returns whether what is written now is no answer of the service.
    pub(super) fn is_unsolicited(&self) -> bool {
        matches!(self.phase(), IDLE | HEAD)
    }

    /// Keeps what hyper wanted to answer of itself.
    pub(super) fn refuse(&self, bytes: &[u8]) {
        let mut refused = self.refused.lock();
        let room = REFUSED_BYTES.saturating_sub(refused.len());
        refused.extend(bytes.iter().take(room));
    }

    /// The status that hyper wanted to answer of itself.
    pub(super) fn refused(&self) -> Option<StatusCode> {
        let refused = self.refused.lock();
        let status = refused.split(|byte| *byte == b' ').nth(1)?;
        StatusCode::from_bytes(status).ok()
    }

    /// The number of requests that have begun.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The number of bytes that have come, as far as that can be counted.
    pub(super) fn received(&self) -> u32 {
        self.received.load(Ordering::Relaxed)
    }

    /// Gives the stream back for an orderly end.
    pub(super) fn give_back(&self, stream: Stream) {
        *self.returned.lock() = Some(stream);
    }

    /// The stream, once hyper has let go of it and unless its other end is closed.
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
