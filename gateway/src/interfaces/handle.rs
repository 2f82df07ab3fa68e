//! Functions whose first parameter is a handle, as in most of these interfaces.

use wasmtime::{
    StoreContextMut,
    component::{ComponentNamedList, ComponentType, Lift, LinkerInstance, Lower, Resource},
};
use wasmtime_wasi_io::IoView as _;

use crate::instance::HostState;

/// The parameters of a function besides the handle of an `H`.
pub(super) trait Rest<H: 'static>: Sized + Send + 'static {
    /// All of them.
    type All: ComponentNamedList + Lift + Send + Sync + 'static;

    /// Takes the handle off.
    fn split(all: Self::All) -> (Resource<H>, Self);
}

impl<H: 'static> Rest<H> for () {
    type All = (Resource<H>,);

    fn split((handle,): Self::All) -> (Resource<H>, Self) {
        (handle, ())
    }
}

impl<H: 'static, A> Rest<H> for (A,)
where
    A: ComponentType + Lift + Send + Sync + 'static,
{
    type All = (Resource<H>, A);

    fn split((handle, a): Self::All) -> (Resource<H>, Self) {
        (handle, (a,))
    }
}

impl<H: 'static, A, B> Rest<H> for (A, B)
where
    A: ComponentType + Lift + Send + Sync + 'static,
    B: ComponentType + Lift + Send + Sync + 'static,
{
    type All = (Resource<H>, A, B);

    fn split((handle, a, b): Self::All) -> (Resource<H>, Self) {
        (handle, (a, b))
    }
}

/// What a guest has a handle of.
///
/// # Errors
/// When it has none.
pub(super) fn behind<H: Clone + Send + 'static>(
    store: &mut StoreContextMut<'_, HostState>,
    handle: &Resource<H>,
) -> wasmtime::Result<H> {
    Ok(store.data_mut().table().get(handle)?.clone())
}

/// Links a function that does its `work` with what the handle stands for and answers with what came of it. The guest
/// waits for it as for any call, within its deadline; a guest that is stopped drops it.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn on_handle<H, P, R, E, F, W>(
    linker: &mut LinkerInstance<'_, HostState>,
    name: &str,
    work: F,
) -> wasmtime::Result<()>
where
    H: Clone + Send + 'static,
    P: Rest<H>,
    R: ComponentType + Lower + Send + Sync + 'static,
    E: ComponentType + Lower + Send + Sync + 'static,
    F: Fn(H, P) -> W + Copy + Send + Sync + 'static,
    W: Future<Output = Result<R, E>> + Send + 'static,
{
    linker.func_wrap_async(
        name,
        move |mut store: StoreContextMut<'_, HostState>, all: P::All| {
            let (handle, rest) = P::split(all);
            let it = behind(&mut store, &handle);
            Box::new(async move { Ok((work(it?, rest).await,)) })
        },
    )
}
