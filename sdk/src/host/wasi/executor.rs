//! A single-threaded executor over `wasi:io/poll`, started only when something waits.
//!
//! Whoever waits leaves its pollable here with its waker. When the handler as a whole has to wait,
//! one host call waits for all of them, and the ones that are ready are woken.
//!
//! Kept by hand for its size: the runtimes for WASI, such as wstd, bring a reactor, a task queue and timers that a
//! guest of one handler has no use for, and hello would be larger by more than all of this.

use std::{
    cell::RefCell,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use wasip2::io::poll::{self, Pollable};

thread_local! {
    /// The pollables that are waited for.
    static WAITING: RefCell<Waiting> = const { RefCell::new(Waiting { last_key: 0, entries: Vec::new() }) };
}

struct Waiting {
    last_key: u64,
    entries: Vec<Entry>,
}

struct Entry {
    key: u64,
    pollable: Pollable,
    waker: Waker,
}

/// Runs a future to its end.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // Most futures never wait: they cost one poll and no allocation.
    if let Poll::Ready(output) = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        return output;
    }
    let root = Arc::new(Root(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&root));
    let mut context = Context::from_waker(&waker);
    loop {
        if root.0.swap(false, Ordering::Relaxed) {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
        } else {
            wake_ready();
            // Whatever was woken hangs below the root, also where a combinator kept an older waker.
            root.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Waits until the pollable is ready. It is dropped before the future ends, as it must be before
/// the resource it belongs to.
pub(super) fn wait(pollable: Pollable) -> Wait {
    Wait {
        pollable: Some(pollable),
        key: 0,
    }
}

/// See [`wait`].
pub(super) struct Wait {
    /// Here until the first poll, then in the list.
    pollable: Option<Pollable>,
    key: u64,
}

/// Wakes the root future.
struct Root(AtomicBool);

impl Wake for Root {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        WAITING.with_borrow_mut(|waiting| {
            if let Some(pollable) = self.pollable.take() {
                waiting.last_key += 1;
                self.key = waiting.last_key;
                let waker = context.waker().clone();
                waiting.entries.push(Entry {
                    key: self.key,
                    pollable,
                    waker,
                });
                return Poll::Pending;
            }
            match waiting
                .entries
                .iter_mut()
                .find(|entry| entry.key == self.key)
            {
                Some(entry) => {
                    entry.waker.clone_from(context.waker());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            }
        })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        WAITING.with_borrow_mut(|waiting| waiting.entries.retain(|entry| entry.key != self.key));
    }
}

/// Blocks in the host until something is ready, and wakes who waited for it.
fn wake_ready() {
    let ready = WAITING.with_borrow_mut(Waiting::take_ready);
    if ready.is_empty() {
        crate::log("the handler waits for something that can never happen");
        std::process::abort();
    }
    for entry in ready {
        entry.waker.wake();
    }
}

impl Waiting {
    fn take_ready(&mut self) -> Vec<Entry> {
        if let [only] = self.entries.as_slice() {
            only.pollable.block();
            return std::mem::take(&mut self.entries);
        }
        if self.entries.is_empty() {
            return Vec::new();
        }
        let pollables: Vec<&Pollable> = self.entries.iter().map(|entry| &entry.pollable).collect();
        let ready = poll::poll(&pollables);
        let mut index = 0;
        self.entries
            .extract_if(.., |_| {
                index += 1;
                ready.contains(&(index - 1))
            })
            .collect()
    }
}
