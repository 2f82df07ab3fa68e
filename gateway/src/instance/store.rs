//! The store of one request: how it is made, its limits, instantiation, and what happens at each epoch tick.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Instant,
};

use tokio::task::yield_now;
use wasmtime::{Engine, Store, StoreContextMut, Trap, UpdateDeadline};
use wasmtime_wasi::{I32Exit, p2, p3};
use wasmtime_wasi_http::{
    p2::bindings::{Proxy, ProxyPre},
    p3::bindings::{Service, ServicePre},
};

use super::{host::HostState, turns};
use crate::{account::Account, engine::Images};

/// Epoch ticks until a guest yields for the first time: not the very next one, which may be due at once, so that a
/// guest of a few microseconds is never interrupted.
const EPOCHS_TO_FIRST_YIELD: u64 = 2;

/// Epoch ticks between a long-running guest's turns.
const EPOCHS_BETWEEN_YIELDS: u64 = 1;

/// Waits for a turn if the package's new guests have to; the first turn is then as short as those of others that
/// waited.
pub(super) async fn queue_up(store: &mut Store<HostState>) {
    if turns::queue_up(store.data().package()).await {
        store.set_epoch_deadline(EPOCHS_BETWEEN_YIELDS);
        store.data_mut().has_given_way = true;
    }
}

/// The maximum of bytes that a guest may pass to the host in one call: they are copied before they are checked. The
/// largest honest call is a write of a megabyte.
const BYTES_OF_A_CALL: usize = 8 << 20;

/// Creates a store with the memory limit and epoch interruption.
pub(super) fn make(engine: &Engine, state: HostState) -> Store<HostState> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(BYTES_OF_A_CALL);
    store.set_epoch_deadline(EPOCHS_TO_FIRST_YIELD);
    // The callback captures nothing: otherwise it would cost every request an allocation.
    store.epoch_deadline_callback(|mut store| at_tick(&mut store));
    store
}

/// Resets a guest's turns, for another request.
pub(super) fn renew(store: &mut Store<HostState>) {
    store.set_epoch_deadline(EPOCHS_TO_FIRST_YIELD);
}

/// Called at an epoch tick: stops a guest that exceeds its memory limit, and yields if it has computed for long. The
/// epoch also advances while a guest waits; without this check most guests that wait would count as long-running at the
/// next tick.
///
/// Yielding through Tokio lets the worker handle sockets and timers before it returns to this guest. wasmtime's own
/// yield would be polled again at once, and a single spinning guest would starve the connections.
pub(super) fn at_tick(store: &mut StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    if let Some(exceeded) = store.data().memory.exceeded() {
        return Err(exceeded.into());
    }
    let state = store.data_mut();
    if !turns::computes(state.has_given_way) {
        return Ok(UpdateDeadline::Continue(EPOCHS_BETWEEN_YIELDS));
    }
    let is_first = !std::mem::replace(&mut state.has_given_way, true);
    let turn = Box::pin(turns::give_way(state.package(), is_first));
    Ok(UpdateDeadline::YieldCustom(EPOCHS_BETWEEN_YIELDS, turn))
}

/// Marks an error that occurred before the guest ran.
#[derive(Debug, thiserror::Error)]
#[error("no instance could be made")]
pub(super) struct NoInstance;

/// A component whose imports are resolved, of any world.
pub(super) trait Linked {
    /// Its instance.
    type Instance;

    /// Instantiates it.
    fn instantiate(
        &self,
        store: &mut Store<HostState>,
    ) -> impl Future<Output = wasmtime::Result<Self::Instance>> + Send;
}

macro_rules! linked {
    ($($pre:ty => $instance:ty),+) => {
        $(impl Linked for $pre {
            type Instance = $instance;

            fn instantiate(
                &self,
                store: &mut Store<HostState>,
            ) -> impl Future<Output = wasmtime::Result<$instance>> + Send {
                self.instantiate_async(store)
            }
        })+
    };
}

linked!(
    ProxyPre<HostState> => Proxy,
    ServicePre<HostState> => Service,
    p2::bindings::CommandPre<HostState> => p2::bindings::Command,
    p3::bindings::CommandPre<HostState> => p3::bindings::Command
);

/// Instantiates a component, its memories mapped to these images if there are any. If no slot or no memory is left for
/// it, idle reused instances give up theirs and it is tried once more.
///
/// # Errors
/// When no instance can be made; [`NoInstance`] is among the error's causes.
pub(super) async fn instantiate<L: Linked>(
    store: &mut Store<HostState>,
    account: &Account,
    (component, images): (&L, Option<&Arc<Images>>),
) -> wasmtime::Result<L::Instance> {
    let first = {
        let making = pin!(component.instantiate(&mut *store));
        timed(account, images, making).await
    };
    match first {
        Ok(instance) => Ok(instance),
        // Boxed: it is rare, and would make every request's future larger.
        Err(error) => {
            Box::pin(async {
                make_way(account, error).await?;
                let making = pin!(component.instantiate(store));
                timed(account, images, making).await
            })
            .await
        }
    }
}

/// Observes how long instantiating takes. The future is pinned by the caller: passed by value, the request's future
/// would hold it twice.
async fn timed<I>(
    account: &Account,
    images: Option<&Arc<Images>>,
    instantiating: Pin<&mut impl Future<Output = wasmtime::Result<I>>>,
) -> wasmtime::Result<I> {
    let started = Instant::now();
    let instance = match images {
        None => instantiating.await,
        // Boxed, so that requests without images have smaller futures.
        Some(images) => Box::pin(Arc::clone(images).instantiate(instantiating)).await,
    };
    let instance = instance.map_err(|error| error.context(NoInstance))?;
    let took = started.elapsed().as_secs_f64();
    account.metrics().instantiation.observe(took);
    Ok(instance)
}

/// Ends idle reused instances if that may help an instance that could not be made.
///
/// # Errors
/// The given one where it would not.
async fn make_way(account: &Account, error: wasmtime::Error) -> wasmtime::Result<()> {
    if !error.is::<NoInstance>() || error.is::<Trap>() || !account.memory.make_way() {
        return Err(error);
    }
    // They end as soon as the worker's other tasks run.
    yield_now().await;
    Ok(())
}

/// Returns whether a guest called `exit` with 0.
pub(super) fn is_success(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref(), Some(I32Exit(0)))
}
