//! Detects clients of an HTTP/2 connection that do not read their streams.
//!
//! A client enlarges a stream's window as it reads. hyper waits for that without a limit and keeps the data; so each
//! response counts what it has handed over and how much of that has left.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::unsent::{Held, Unsent};

/// The number of checks within the time for which a stream may make no progress.
pub(super) const LOOKS: u32 = 4;

/// The length of the list at which ended streams are first removed.
const LIST: usize = 256;

tokio::task_local! {
    static STREAM: Arc<Sent>;
}

/// The streams of a connection, and how hyper starts them.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<List>>);

struct List {
    streams: Vec<Arc<Sent>>,
    /// The length at which ended streams are removed.
    full: usize,
}

impl Default for List {
    fn default() -> Self {
        Self {
            streams: Vec::new(),
            full: LIST,
        }
    }
}

/// Streams that were found to make no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stalled {
    /// The number of streams that were reset.
    pub(super) ended: u64,
    /// A stream whose end was passed on already can only be ended with its connection.
    pub(super) connection: bool,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let sent = Arc::new(Sent::default());
        let task = tokio::spawn(STREAM.scope(Arc::clone(&sent), stream));
        let _ = sent.task.set(task.abort_handle());
        let mut list = self.0.lock();
        if list.streams.len() >= list.full {
            list.streams.retain(|stream| !stream.is_over());
            list.full = LIST.max(2 * list.streams.len());
        }
        list.streams.push(sent);
    }
}

impl Streams {
    /// Checks every stream, and ends those that made no progress for [`LOOKS`] checks. Dropping a stream before its end
    /// resets it (`CANCEL`), and h2 drops its buffers.
    pub(super) fn look(&self) -> Stalled {
        let mut stalled = Stalled {
            ended: 0,
            connection: false,
        };
        let mut list = self.0.lock();
        list.streams.retain(|stream| !stream.is_over());
        for stream in &list.streams {
            if !stream.stands_still() {
                continue;
            }
            match stream.task.get() {
                Some(task) if !task.is_finished() => {
                    stalled.ended = stalled.ended.saturating_add(1);
                    task.abort();
                }
                _ => stalled.connection = true,
            }
        }
        stalled
    }
}

/// The progress of a stream.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Pieces that have not been sent.
    waiting: AtomicU32,
    /// Counts pieces passed on and sent: while it is unchanged, the stream makes no progress.
    moves: AtomicU32,
    /// The count at the last check, and the number of checks at which it was unchanged.
    seen: AtomicU32,
    looks: AtomicU32,
    task: OnceLock<AbortHandle>,
}

impl Sent {
    /// The one of the current task's stream; `None` over HTTP/1.
    pub(super) fn current() -> Option<Arc<Self>> {
        STREAM.try_with(Arc::clone).ok()
    }

    /// The same bytes, counted until the last of them has been sent.
    pub(super) fn count(self: &Arc<Self>, bytes: Bytes, unsent: &Arc<Unsent>) -> Bytes {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.moves.fetch_add(1, Ordering::Relaxed);
        Bytes::from_owner(Piece {
            _held: unsent.hold(bytes.len()),
            bytes,
            of: Arc::clone(self),
        })
    }

    fn is_over(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0 && self.task.get().is_some_and(AbortHandle::is_finished)
    }

    fn stands_still(&self) -> bool {
        let moves = self.moves.load(Ordering::Relaxed);
        if self.waiting.load(Ordering::Relaxed) == 0 || self.seen.swap(moves, Ordering::Relaxed) != moves {
            self.looks.store(0, Ordering::Relaxed);
            return false;
        }
        self.looks.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= LOOKS
    }
}

struct Piece {
    bytes: Bytes,
    of: Arc<Sent>,
    _held: Held,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.of.waiting.fetch_sub(1, Ordering::Relaxed);
        self.of.moves.fetch_add(1, Ordering::Relaxed);
    }
}
