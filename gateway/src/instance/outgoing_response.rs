//! The bodies that the host gives a guest to write, where wasmtime's own would refuse what HTTP allows, or buffer
//! without counting.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    WasiHttpView as _,
    p2::{
        bindings::http::types::{HostOutgoingBody as _, HostOutgoingResponse as _},
        body::{HostOutgoingBody, StreamContext},
        types::HostOutgoingResponse,
    },
};
use wasmtime_wasi_io::streams::DynOutputStream;

use super::{host::HostState, kept_stream::KeptStream};
use crate::content;

/// The interface whose functions are replaced, in wasmtime's version; it serves all of 0.2.
const TYPES: &str = "wasi:http/types@0.2.12";

impl HostState {
    /// Returns whether the guest took a body and did not finish it.
    pub(super) fn has_unfinished_body(&mut self) -> bool {
        if let Some(handed) = &self.answer.handed {
            return !handed.has_ended();
        }
        let Some(body) = self.answer.body else {
            return false;
        };
        let body = Resource::<HostOutgoingBody>::new_borrow(body);
        self.http().table.get(&body).is_ok()
    }

    /// Returns the body of a response, as wasmtime does. But the `content-length` of a response without content
    /// describes another response, so a guest may write nothing.
    fn body(
        &mut self,
        response: Resource<HostOutgoingResponse>,
    ) -> wasmtime::Result<Result<Resource<HostOutgoingBody>, ()>> {
        let is_head = self.answer.is_head;
        let chunk = self.answer.chunk();
        self.bound_writes(chunk);
        let mut http = self.http();
        let head = http.table.get(&response)?;
        let made = if head.body.is_none() && (is_head || content::is_forbidden_by(head.status)) {
            let (chunks, bytes) = (
                http.hooks.p2_outgoing_body_buffer_chunks(),
                http.hooks.p2_outgoing_body_chunk_size(),
            );
            let (host, body) = HostOutgoingBody::new(StreamContext::Response, None, chunks, bytes);
            http.table.get_mut(&response)?.body = Some(body);
            Ok(http.table.push(host)?)
        } else {
            http.body(response)?
        };
        self.answer.body = made.as_ref().ok().map(Resource::rep);
        Ok(made)
    }

    /// Returns the stream for writing a body, as wasmtime does. What is written is counted except for the first body,
    /// usually the only one: it never holds more than two parts of a megabyte.
    fn write(&mut self, body: Resource<HostOutgoingBody>) -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>> {
        if !std::mem::replace(&mut self.has_written, true) {
            return self.http().write(body);
        }
        let kept = self.kept();
        let table = self.http().table;
        let Some(stream) = table.get_mut(&body)?.take_output_stream() else {
            return Ok(Err(()));
        };
        let stream: DynOutputStream = Box::new(KeptStream::new(stream, kept));
        Ok(Ok(table.push_child(stream, &body)?))
    }
}

/// Replaces these functions in a linker that has `wasi:http`.
///
/// # Errors
/// When the linker refuses a function, such as one that does not allow shadowing.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]outgoing-response.body",
        |mut store: StoreContextMut<'_, HostState>, (response,): (Resource<HostOutgoingResponse>,)| {
            Ok((store.data_mut().body(response)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-body.write",
        |mut store: StoreContextMut<'_, HostState>, (body,): (Resource<HostOutgoingBody>,)| {
            Ok((store.data_mut().write(body)?,))
        },
    )
}
