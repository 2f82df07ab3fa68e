//! The import by which a middleware passes a request on (`wasi:http/handler@0.3`).

use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime_wasi_http::{
    WasiHttp,
    p3::{
        self,
        bindings::http::{client::HostWithStore, types::ErrorCode},
    },
};

use super::host::HostState;

/// The interface, in the version of wasmtime's other 0.3 interfaces; it serves all of 0.3.
const HANDLER: &str = "wasi:http/handler@0.3.0";

/// Adds it to the linker. A request to the handler is sent like an outgoing one, with other hooks.
///
/// # Errors
/// When the linker refuses a function.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.instance(HANDLER)?.func_wrap_concurrent(
        "handle",
        |accessor: &Accessor<HostState>, (request,): (Resource<p3::Request>,)| {
            Box::pin(async move {
                accessor.with(|mut store| store.data_mut().complete_next(&request));
                let next = accessor.with_getter::<WasiHttp>(HostState::next_http);
                let handled = <WasiHttp as HostWithStore<HostState>>::send(&next, request).await;
                let handled: Result<Resource<p3::Response>, ErrorCode> = match handled {
                    Ok(response) => Ok(response),
                    Err(error) => Err(error.downcast()?),
                };
                wasmtime::error::Ok((handled,))
            })
        },
    )
}
