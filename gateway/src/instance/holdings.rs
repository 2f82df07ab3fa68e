//! The size of what the host holds in one instance's resource table.

use std::any::{Any, TypeId};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::bindings::filesystem::types::Descriptor;
use wasmtime_wasi_http::{
    FieldMap,
    p2::{
        body::HostOutgoingBody,
        types::{HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse},
    },
    p3,
};

use wasmtime_wasi_io::{
    poll::DynPollable,
    streams::{DynInputStream, DynOutputStream},
};

use crate::egress::CALL_BYTES;

/// The most bytes of one set of fields, as wasmtime-wasi-http counts them: what it has unless told otherwise, and twice
/// the head that may be sent on.
pub(super) const FIELDS_BYTES: usize = 128 << 10;

/// Any resource, in bytes: its places in the host's table and in the guest's, its box, and what is empty in it. A timer
/// was measured with 500, an empty set of fields with 400.
pub(super) const RESOURCE_BYTES: usize = 1 << 10;

/// A body besides the bytes in it: the channel to whoever sends it.
const BODY_BYTES: usize = 3 << 10;

/// A response besides its head: a part of its body that has come and was not read.
const RESPONSE_BYTES: usize = 32 << 10;

/// One field besides its name and value: its places in the map.
const FIELD_BYTES: usize = 128;

/// Returns the number of all resources in a table, and the bytes that they hold.
pub(super) fn all(table: &mut ResourceTable) -> (usize, usize) {
    let sizes = table.iter_mut().map(|resource| size(resource));
    sizes.fold((0, 0_usize), |(count, bytes), size| {
        (count + 1, bytes.saturating_add(size))
    })
}

/// Returns whether all resources are of the kinds that libraries open once and keep: standard streams, what waits for
/// them, and folders. A stream of a body has the body beside it, and what is read ahead of a file is kept as bytes.
pub(super) fn are_lasting(table: &mut ResourceTable) -> bool {
    table.iter_mut().all(|resource| is_lasting(resource))
}

fn is_lasting(resource: &(dyn Any + Send)) -> bool {
    resource.is::<DynInputStream>()
        || resource.is::<DynOutputStream>()
        || resource.is::<DynPollable>()
        || resource.is::<Descriptor>()
}

fn size(resource: &(dyn Any + Send)) -> usize {
    let of = Of {
        // Asked once, as tables may have tens of thousands of them, nearly all of other types.
        id: resource.type_id(),
        resource,
    };
    let more = None
        .or_else(|| of.measured(fields))
        .or_else(|| of.measured(|_: &HostOutgoingBody| BODY_BYTES))
        .or_else(|| of.measured(|response: &HostOutgoingResponse| fields(&response.headers) + BODY_BYTES))
        .or_else(|| of.measured(request))
        .or_else(|| of.measured(|response: &HostIncomingResponse| fields(&response.headers) + RESPONSE_BYTES))
        .or_else(|| of.measured(call))
        .or_else(|| of.measured(new_request))
        .or_else(|| of.measured(|response: &p3::Response| fields(&response.headers) + RESPONSE_BYTES));
    RESOURCE_BYTES + more.unwrap_or_default()
}

/// A resource of some type.
struct Of<'a> {
    id: TypeId,
    resource: &'a (dyn Any + Send),
}

impl Of<'_> {
    /// What it holds beyond any resource, if it is one of these.
    fn measured<T: 'static>(&self, size: impl FnOnce(&T) -> usize) -> Option<usize> {
        if self.id != TypeId::of::<T>() {
            return None;
        }
        self.resource.downcast_ref().map(size)
    }
}

fn request(request: &HostOutgoingRequest) -> usize {
    let texts = [&request.path_with_query, &request.authority];
    let texts = texts.into_iter().flatten().map(String::len);
    fields(&request.headers) + texts.sum::<usize>() + BODY_BYTES
}

fn call(call: &HostFutureIncomingResponse) -> usize {
    match call {
        HostFutureIncomingResponse::Pending(_) => CALL_BYTES,
        HostFutureIncomingResponse::Ready(Ok(_)) => RESPONSE_BYTES,
        HostFutureIncomingResponse::Ready(Err(_)) | HostFutureIncomingResponse::Consumed => 0,
    }
}

/// A request of WASI 0.3.
fn new_request(request: &p3::Request) -> usize {
    let path = request.path_with_query.as_ref();
    let authority = request.authority.as_ref();
    let texts = [
        path.map(|path| path.as_str()),
        authority.map(|authority| authority.as_str()),
    ];
    let texts = texts.into_iter().flatten().map(str::len);
    fields(&request.headers) + texts.sum::<usize>() + BODY_BYTES
}

fn fields(map: &FieldMap) -> usize {
    let each = map
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
    each.sum()
}
