//! The size of what the host holds in one instance's table of resources.

use std::any::Any;

use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::{
    FieldMap,
    p2::{
        body::HostOutgoingBody,
        types::{HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse},
    },
    p3,
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

/// Returns the bytes that all resources in a table hold.
pub(super) fn bytes(table: &mut ResourceTable) -> usize {
    let all = table.iter_mut().map(|resource| size(resource));
    all.fold(0, usize::saturating_add)
}

fn size(resource: &(dyn Any + Send)) -> usize {
    let more = if let Some(map) = resource.downcast_ref::<FieldMap>() {
        fields(map)
    } else if let Some(request) = resource.downcast_ref::<HostOutgoingRequest>() {
        let texts = [&request.path_with_query, &request.authority];
        let texts = texts.into_iter().flatten().map(String::len);
        fields(&request.headers) + texts.sum::<usize>() + BODY_BYTES
    } else if let Some(response) = resource.downcast_ref::<HostOutgoingResponse>() {
        fields(&response.headers) + BODY_BYTES
    } else if let Some(response) = resource.downcast_ref::<HostIncomingResponse>() {
        fields(&response.headers) + RESPONSE_BYTES
    } else if let Some(call) = resource.downcast_ref::<HostFutureIncomingResponse>() {
        match call {
            HostFutureIncomingResponse::Pending(_) => CALL_BYTES,
            HostFutureIncomingResponse::Ready(Ok(_)) => RESPONSE_BYTES,
            HostFutureIncomingResponse::Ready(Err(_)) | HostFutureIncomingResponse::Consumed => 0,
        }
    } else if let Some(request) = resource.downcast_ref::<p3::Request>() {
        let path = request.path_with_query.as_ref();
        let authority = request.authority.as_ref();
        let texts = [
            path.map(|path| path.as_str()),
            authority.map(|authority| authority.as_str()),
        ];
        let texts = texts.into_iter().flatten().map(str::len);
        fields(&request.headers) + texts.sum::<usize>() + BODY_BYTES
    } else if let Some(response) = resource.downcast_ref::<p3::Response>() {
        fields(&response.headers) + RESPONSE_BYTES
    } else if resource.is::<HostOutgoingBody>() {
        BODY_BYTES
    } else {
        0
    };
    RESOURCE_BYTES + more
}

fn fields(map: &FieldMap) -> usize {
    let each = map
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
    each.sum()
}
