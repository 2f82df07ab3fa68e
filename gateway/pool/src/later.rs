//! Resets large returned memories on a thread of its own.
//!
//! Zeroing some megabytes, or returning a hundred to the kernel, takes many milliseconds, during which a worker would
//! serve nobody. So the worker does what takes a moment, which is everything for most memories, and leaves the rest to
//! this thread, which has a lower priority than the workers.
//!
//! The queue is short, and when it is full the memory is reset at once: otherwise ended instances could fill the
//! memory. With [`unfinished`] the embedder can count an instance until its memory is clean.

use std::{
    any::Any,
    cell::RefCell,
    sync::{
        Arc, OnceLock,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use parking_lot::Mutex;

/// How much this thread yields to others (setpriority(2)): it gets about a tenth of a core that others want.
const NICE: i32 = 10;

/// Memories that may wait for this thread: some hundred megabytes, as most guests are limited.
const MOST_WAITING: usize = 4;

thread_local! {
    /// What is kept for the regions that this thread has returned and that are not clean yet.
    static RETURNED: RefCell<Option<Arc<Held>>> = const { RefCell::new(None) };
}

/// Kept until regions are clean.
#[derive(Default)]
struct Held(Mutex<Vec<Box<dyn Any + Send>>>);

/// What makes a region clean, and what is kept until then.
struct Work {
    make_clean: Box<dyn FnOnce() + Send>,
    _held: Option<Arc<Held>>,
}

impl Work {
    fn finish(self) {
        (self.make_clean)();
    }
}

/// The way to the thread, which starts with the first region and ends with the pool.
#[derive(Debug, Default)]
pub(crate) struct Later(OnceLock<Option<SyncSender<Work>>>);

impl Later {
    /// Has a region that this thread returned made clean, here if there is no other thread or too many wait for it.
    pub(crate) fn put(&self, make_clean: impl FnOnce() + Send + 'static) {
        let held = RETURNED.try_with(|returned| Arc::clone(returned.borrow_mut().get_or_insert_default()));
        let work = Work {
            make_clean: Box::new(make_clean),
            _held: held.ok(),
        };
        let left = match self.0.get_or_init(start) {
            Some(sender) => match sender.try_send(work) {
                Ok(()) => None,
                Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) => Some(work),
            },
            None => Some(work),
        };
        if let Some(work) = left {
            work.finish();
        }
    }
}

fn start() -> Option<SyncSender<Work>> {
    let (sender, works) = sync_channel::<Work>(MOST_WAITING);
    let thread = thread::Builder::new().name("pool-reset".to_owned());
    let started = thread.spawn(move || {
        // Of this thread alone, on Linux. Without it workers are kept waiting a little longer.
        let _ = rustix::process::setpriority_process(None, NICE);
        works.into_iter().for_each(Work::finish);
    });
    started.ok().map(|_| sender)
}

/// Memories that a thread has returned and that are not clean yet.
pub struct Unfinished(Arc<Held>);

impl Unfinished {
    /// Keeps a value until they are: a permit, a reservation.
    pub fn keep(self, value: impl Send + 'static) {
        self.0.0.lock().push(Box::new(value));
    }
}

/// The memories that this thread has returned since it last asked, by dropping stores, and that are not clean yet;
/// `None` if all are, as after most instances.
pub fn unfinished() -> Option<Unfinished> {
    RETURNED
        .try_with(|returned| returned.take())
        .ok()
        .flatten()
        .map(Unfinished)
}
