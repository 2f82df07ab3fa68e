//! What WASI 0.3 guests have in common: concurrent tasks, and the memory that wasmtime uses for them, which it does not
//! limit itself.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use wasmtime::{AsContextMut as _, Store, StoreContextMut, component::Accessor};

use super::{host::HostState, store::at_tick};

/// How much of an outgoing request's body a guest may write at once: what waits in wasmtime's channel is not counted,
/// and there is one for each request in flight.
pub(super) const REQUEST_CHUNK: usize = 64 << 10;

/// The interval at which an instance's tasks and streams are counted: within it a guest can create about a megabyte of
/// them, and counting takes a small part of it.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Counts wasmtime's bookkeeping for the guest at each epoch tick.
pub(super) fn watch(store: &mut Store<HostState>) {
    store.epoch_deadline_callback(|mut store| {
        count(&mut store);
        at_tick(&mut store)
    });
}

/// Runs a guest's work, and counts wasmtime's bookkeeping for it while it waits.
///
/// # Errors
/// Those of the work, or when the guest exceeds its memory limit.
pub(super) async fn watched<T>(
    accessor: &Accessor<HostState>,
    work: impl Future<Output = wasmtime::Result<T>>,
) -> wasmtime::Result<T> {
    let mut work = pin!(work);
    let mut seen = Instant::now();
    poll_fn(|cx| match look(accessor, &mut seen) {
        Ok(()) => work.as_mut().poll(cx),
        Err(error) => Poll::Ready(Err(error)),
    })
    .await
}

/// Stops a waiting guest that exceeds its limit, if the last check was some time ago.
fn look(accessor: &Accessor<HostState>, seen: &mut Instant) -> wasmtime::Result<()> {
    let now = Instant::now();
    if now.duration_since(*seen) < LOOK_EVERY {
        return Ok(());
    }
    *seen = now;
    accessor.with(|mut store| {
        let mut store = store.as_context_mut();
        count(&mut store);
        match store.data().memory.exceeded() {
            Some(exceeded) => Err(exceeded.into()),
            None => Ok(()),
        }
    })
}

/// Counts what wasmtime holds for the instance.
fn count(store: &mut StoreContextMut<'_, HostState>) {
    let kept = store.concurrent_state_table_size();
    store.data_mut().memory.keeps(kept);
}
