//! Lists that a guest passes to the host: pollables and fields. They are read only up to what can be valid; millions of
//! small items would block a worker for tens of milliseconds, since a host call is not interrupted.

use wasmtime::{
    AsContextMut as _, StoreContextMut,
    component::{Lift, Linker, Resource, WasmList},
};
use wasmtime_wasi_http::{
    FieldMap, WasiHttpView as _, p2::bindings::http::types::HostFields as Fields,
    p3::bindings::http::types::HostFields as NewFields,
};
use wasmtime_wasi_io::{IoView as _, bindings::wasi::io::poll::Host as _, poll::DynPollable};

use super::{holdings::FIELDS_BYTES, host::HostState};
use crate::engine::World;

/// The maximum of pollables per call: ten times what `select` allows, and a few milliseconds of a worker.
const MOST_POLLED: usize = 10_000;

/// The size of the shortest field, as wasmtime-wasi-http counts it.
const SHORTEST_VALUE: usize = size_of::<http::HeaderValue>();

/// The maximum of values that fit into a set of fields.
const MOST_VALUES: usize = FIELDS_BYTES / SHORTEST_VALUE;

/// A guest polls too many things at once.
#[derive(Debug, thiserror::Error)]
#[error("it polls {0} things at once, and may {MOST_POLLED}")]
struct TooMany(usize);

/// The first items of a list: one more than fits, so that too many are reported as such.
fn some<T: Lift>(store: &mut StoreContextMut<'_, HostState>, list: &WasmList<T>) -> wasmtime::Result<Vec<T>> {
    list.iter(store.as_context_mut())?
        .take(MOST_VALUES + 1)
        .collect()
}

/// Links functions that take lists of fields, with wasmtime-wasi-http's trait for each WASI version.
macro_rules! link_fields {
    ($linker:ident, $interface:literal, $fields:ident) => {{
        let mut types = $linker.instance($interface)?;
        types.func_wrap(
            "[static]fields.from-list",
            |mut store: StoreContextMut<'_, HostState>, (all,): (WasmList<(String, Vec<u8>)>,)| {
                let all = some(&mut store, &all)?;
                let made = $fields::from_list(&mut store.data_mut().http(), all);
                let made = made.map(Ok).or_else(|error| error.downcast().map(Err))?;
                Ok((made,))
            },
        )?;
        types.func_wrap(
            "[method]fields.set",
            |mut store: StoreContextMut<'_, HostState>,
             (fields, name, all): (Resource<FieldMap>, String, WasmList<Vec<u8>>)| {
                let all = some(&mut store, &all)?;
                let set = $fields::set(&mut store.data_mut().http(), fields, name, all);
                let set = set.map(Ok).or_else(|error| error.downcast().map(Err))?;
                Ok((set,))
            },
        )?;
    }};
}

/// Replaces functions in a linker that has `wasi:io` and `wasi:http`.
///
/// # Errors
/// When the linker refuses a function.
pub(super) fn link(linker: &mut Linker<HostState>, world: World) -> wasmtime::Result<()> {
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    poll.func_wrap_async(
        "poll",
        |mut store: StoreContextMut<'_, HostState>, (all,): (WasmList<Resource<DynPollable>>,)| {
            Box::new(async move {
                if all.len() > MOST_POLLED {
                    return Err(TooMany(all.len()).into());
                }
                let all = all
                    .iter(store.as_context_mut())?
                    .collect::<wasmtime::Result<_>>()?;
                Ok((store.data_mut().table().poll(all).await?,))
            })
        },
    )?;
    link_fields!(linker, "wasi:http/types@0.2.12", Fields);
    if world == World::Service {
        link_fields!(linker, "wasi:http/types@0.3.0", NewFields);
    }
    Ok(())
}
