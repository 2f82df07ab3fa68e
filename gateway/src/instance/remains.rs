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

/// Memory of an instance whose slot is wasmtime's, in bytes, that a worker gives back to the kernel: a few milliseconds
/// if all of it was written to. What `wasmgate-pool` takes back it cleans in pieces of its own.
const SMALL_MEMORY: usize = 64 << 20;

/// How much the thread yields to workers (setpriority(2)): it gets about a tenth of a core that they want.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Instances that may wait for the thread.
const MOST_WAITING: usize = 2;

/// A store at work, and the slot that it runs in, which is free when all that it held is gone.
pub(super) struct Running {
    store: Option<Store<HostState>>,
    permit: Option<Permit>,
}

impl Running {
    /// An instance that is to begin in this slot.
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

    /// Its store, once it has begun.
    pub(super) fn store(&mut self) -> Option<&mut Store<HostState>> {
        self.store.as_mut()
    }

    /// Goes on by another permit.
    pub(super) fn go_on(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Does nothing for a while, for which others may have the permit.
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
        // While a worker ends, nobody waits for it.
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
    /// Returns whether it takes longer than a moment to drop it.
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

/// Drops it on the thread for that, or here if there is none or too many wait for it; what it drops may belong to its
/// worker's event queue.
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
        // Of this thread alone. Without it workers are kept waiting a little longer.
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
