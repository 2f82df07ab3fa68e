//! Instances that answer several requests, one after the other (`reuse`).
//!
//! Never two at once: a trap, a deadline or the memory limit ends an instance, and would end both; and counters, grants
//! and log lines belong to one request. If anything might still be going on when a request has been answered, the
//! instance ends; so the next request finds modified memory and nothing else.

use std::{
    fmt, mem,
    sync::{Arc, Weak},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use wasmtime_wasi_http::p3::bindings::Service;

use super::{host::HostState, remains::Running, store};
use crate::{account::Account, admission::Permit, machine_memory::Spare, metrics::InstanceEnd};

/// An instance that has been idle for this long is not needed any more.
const IDLE: Duration = Duration::from_secs(10);

/// The reusable instances of one package.
///
/// An idle one has no permit, but a request with a permit takes an idle one before creating another; so running and
/// idle instances together never exceed the number of permits.
pub(crate) struct Reuse {
    account: Arc<Account>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// In the order in which they became idle.
    instances: Vec<Idle>,
    /// Incremented when the package's code is replaced: older instances are not taken back.
    round: u64,
    is_closed: bool,
}

struct Idle {
    instance: Lasting,
    since: Instant,
    /// The thread of its last request, whose caches have its memory.
    home: ThreadId,
}

/// A reusable instance.
pub(super) struct Lasting {
    pub(super) running: Running,
    /// `None` until it is instantiated.
    pub(super) service: Option<Service>,
    /// The number of wasmtime's entries for an instance without requests.
    pub(super) kept_at_first: usize,
    answered: usize,
    round: u64,
    account: Arc<Account>,
    /// The reason for its end, if it is dropped now.
    end: InstanceEnd,
}

impl Reuse {
    /// No instances yet, for this package.
    pub(crate) fn new(account: &Arc<Account>) -> Arc<Self> {
        let reuse = Arc::new(Self {
            account: Arc::clone(account),
            waiting: Mutex::default(),
        });
        let spare: Weak<Self> = Arc::downgrade(&reuse);
        account.memory.may_give_up(spare);
        reuse
    }

    /// An instance for a request: an idle one, or a new one in the store that `fresh` makes.
    pub(super) fn take(
        &self,
        state: HostState,
        permit: Permit,
        fresh: impl FnOnce(HostState, Permit) -> Running,
    ) -> Lasting {
        while let Some(mut instance) = self.pop() {
            let store = instance.running.store();
            let Some(store) = store.filter(|store| store.data().has_folders_of_now()) else {
                instance.end = InstanceEnd::Replaced;
                continue;
            };
            store.data_mut().turn_to(state);
            store::renew(store);
            instance.end = InstanceEnd::Failed;
            instance.running.go_on(permit);
            self.account.metrics().reuse().reused.inc();
            return instance;
        }
        Lasting {
            running: fresh(state, permit),
            service: None,
            kept_at_first: 0,
            answered: 0,
            round: self.waiting.lock().round,
            account: Arc::clone(&self.account),
            end: InstanceEnd::Failed,
        }
    }

    fn pop(&self) -> Option<Lasting> {
        let here = thread::current().id();
        let mut waiting = self.waiting.lock();
        let instances = &mut waiting.instances;
        let at = instances.iter().rposition(|idle| idle.home == here);
        let at = at.or_else(|| instances.len().checked_sub(1))?;
        let idle = instances.remove(at);
        self.account.metrics().reuse().idle.dec();
        Some(idle.instance)
    }

    /// Takes back an instance that has answered a request and whose tasks have all ended, unless that was its last
    /// request.
    pub(super) fn put(&self, mut instance: Lasting) {
        instance.answered += 1;
        if let Some(end) = instance.last(self.account.config.reuse) {
            instance.end = end;
            return;
        }
        // Released only when others can take the instance.
        let permit = instance.running.rest();
        let mut waiting = self.waiting.lock();
        if waiting.is_closed || waiting.round != instance.round {
            instance.end = InstanceEnd::Replaced;
            drop(waiting);
        } else {
            waiting.instances.push(Idle {
                instance,
                since: Instant::now(),
                home: thread::current().id(),
            });
            drop(waiting);
            self.account.metrics().reuse().idle.inc();
        }
        drop(permit);
    }

    /// Ends instances that have been idle for long.
    pub(crate) fn trim(&self) {
        let mut waiting = self.waiting.lock();
        let instances = &mut waiting.instances;
        let is_old = |idle: &Idle| idle.since.elapsed() >= IDLE;
        let old = instances.iter().take_while(|idle| is_old(idle)).count();
        let old = instances.drain(..old).collect();
        drop(waiting);
        self.end(old, InstanceEnd::Idle);
    }

    /// Ends all idle instances, and running ones after their request.
    pub(crate) fn forget(&self) {
        let mut waiting = self.waiting.lock();
        waiting.round += 1;
        let all = mem::take(&mut waiting.instances);
        drop(waiting);
        self.end(all, InstanceEnd::Replaced);
    }

    /// The same, and keeps none from now on.
    pub(crate) fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.forget();
    }

    fn end(&self, mut instances: Vec<Idle>, end: InstanceEnd) {
        if instances.is_empty() {
            return;
        }
        for Idle { instance, .. } in &mut instances {
            instance.end = end;
            if let Some(store) = instance.running.store() {
                drop(store.data_mut().memory.take_reserved());
            }
            self.account.metrics().reuse().idle.dec();
        }
        match Handle::try_current() {
            // This may run on a guest's stack, where another store cannot be dropped.
            Ok(worker) => drop(worker.spawn(async move { drop(instances) })),
            Err(_) => drop(instances),
        }
    }
}

impl Lasting {
    /// Why this request was its last, if it was.
    fn last(&mut self, most: usize) -> Option<InstanceEnd> {
        let Some(store) = self.running.store() else {
            return Some(InstanceEnd::Failed);
        };
        let is_broken = store.data().has_broken_body();
        let left_nothing = store.data_mut().rest();
        let left_no_work = store.concurrent_state_table_size() <= self.kept_at_first;
        if is_broken {
            Some(InstanceEnd::Failed)
        } else if store.data().memory.refused() || store.data().memory.is_crowded() {
            Some(InstanceEnd::Memory)
        } else if !left_nothing || !left_no_work {
            Some(InstanceEnd::Left)
        } else if self.answered >= most {
            Some(InstanceEnd::Used)
        } else {
            None
        }
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        // One that was never instantiated does not count.
        if self.service.is_some() {
            self.account.metrics().reuse().ended(self.end);
        }
    }
}

impl Spare for Reuse {
    fn give_up(&self) -> bool {
        let all = mem::take(&mut self.waiting.lock().instances);
        let is_any = !all.is_empty();
        self.end(all, InstanceEnd::Needed);
        is_any
    }
}

impl Drop for Reuse {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Reuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting.lock().instances.len();
        f.debug_struct("Reuse")
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}
