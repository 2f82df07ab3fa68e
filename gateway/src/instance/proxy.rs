//! Calls a WASI 0.2 guest: its handler is called once, may respond meanwhile, and ends when it returns.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body::Body;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::{
    Error, WasiHttpView as _,
    p2::bindings::{ProxyPre, http::types::Scheme},
};

use super::{answer::Head, host::HostState, request_body::RequestBody, store::instantiate};
use crate::{account::Account, engine::Images, request_headers};

/// Instantiates the component and calls it.
///
/// # Errors
/// When the guest fails.
pub(super) async fn handle<B>(
    store: &mut Store<HostState>,
    account: &Account,
    made_of: (&ProxyPre<HostState>, Option<&Arc<Images>>),
    request: Request<RequestBody<B>>,
    answer: oneshot::Sender<Head>,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Error>,
{
    let instance = instantiate(store, account, made_of).await?;
    let mut http = store.data_mut().http();
    let scheme = if request_headers::is_https(request.headers()) {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let request = http.new_incoming_request(scheme, request)?;
    let answer = http.new_response_outparam(answer)?;
    instance
        .wasi_http_incoming_handler()
        .call_handle(&mut *store, request, answer)
        .await
}
