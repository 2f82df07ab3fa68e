//! Drops instances. A guest may hold tens of thousands of resources, streams or tasks, and many megabytes; dropping all
//! that would block a worker. So large instances are dropped on a separate thread, and count until they are gone. The
//! queue for it is short, and when it is full the worker drops the instance itself: otherwise ended instances could
//! fill the memory.

use std::{
    sync::{
        OnceLock,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use tokio::runtime::Handle;
use wasmtime::Store;

use super::host::HostState;
use crate::{admission::Permit, engine};

/// The size of memory in wasmtime's own pool that a worker returns to the kernel itself: a few milliseconds if all of
/// it was written. `wasmgate-pool` cleans its memory in pieces.
const SMALL_MEMORY: usize = 64 << 20;

/// The thread's nice value (setpriority(2)): it gets about a tenth of a core that workers need.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// The length of the thread's queue.
const MOST_WAITING: usize = 2;

/// A store and its permit, which is released when all that the store held is gone.
pub(super) struct Running {
    store: Option<Store<HostState>>,
    permit: Option<Permit>,
}

impl Running {
    /// An instance that is yet to begin, with its permit.
    pub(super) fn new(permit: Permit) -> Self {
        Self {
            store: None,
            permit: Some(permit),
        }
    }

    /// Begins with a store.
    pub(super) fn begin(&mut self, store: Store<HostState>) -> &mut Store<HostState> {
        self.store.insert(store)
    }

    /// Its store, once it has one.
    pub(super) fn store(&mut self) -> Option<&mut Store<HostState>> {
        self.store.as_mut()
    }

    /// Continues with another permit.
    pub(super) fn go_on(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Releases the permit for as long as it is idle.
    pub(super) fn rest(&mut self) -> Option<Permit> {
        self.permit.take()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(store) = self.store.take() else {
            return;
        };
        let mut ending = Ending {
            store,
            permit: self.permit.take(),
        };
        // During the shutdown of a worker there is nobody to delay.
        match Handle::try_current() {
            Ok(worker) if ending.is_much() => end_apart(ending, worker),
            _ => ending.end(),
        }
    }
}

/// What is left of an instance.
struct Ending {
    store: Store<HostState>,
    permit: Option<Permit>,
}

impl Ending {
    /// Returns whether dropping it takes long.
    fn is_much(&mut self) -> bool {
        let memory = &mut self.store.data_mut().memory;
        if memory.is_much() {
            return true;
        }
        memory.own() > SMALL_MEMORY && self.store.engine().pooling_allocator_metrics().is_some()
    }

    fn end(self) {
        let Self { mut store, permit } = self;
        let reserved = store.data_mut().memory.take_reserved();
        drop(store);
        engine::keep_until_clean((permit, reserved));
    }
}

/// Drops it on the separate thread, or here if there is none or its queue is full. What is dropped may belong to the
/// worker's event loop.
fn end_apart(ending: Ending, worker: Handle) {
    static ENDS: OnceLock<Option<SyncSender<(Ending, Handle)>>> = OnceLock::new();
    let left = match ENDS.get_or_init(start) {
        Some(ends) => match ends.try_send((ending, worker)) {
            Ok(()) => None,
            Err(TrySendError::Full(left) | TrySendError::Disconnected(left)) => Some(left),
        },
        None => Some((ending, worker)),
    };
    if let Some((ending, _)) = left {
        ending.end();
    }
}

fn start() -> Option<SyncSender<(Ending, Handle)>> {
    let (ends, all) = sync_channel::<(Ending, Handle)>(MOST_WAITING);
    let thread = thread::Builder::new().name("ends".to_owned());
    let started = thread.spawn(move || {
        // Only for this thread. If it fails, workers wait a little longer.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, NICE);
        for (ending, worker) in all {
            let _worker = worker.enter();
            ending.end();
        }
    });
    match started {
        Ok(_) => Some(ends),
        Err(error) => {
            tracing::error!(%error, "no thread for the end of large instances: workers drop them");
            None
        }
    }
}
