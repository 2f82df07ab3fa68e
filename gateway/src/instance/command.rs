//! A program of WASI 0.2, run once from its start to its end: what it prints is its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi::{I32Exit, p2::bindings::CommandPre};
use wasmtime_wasi_http::Error;

use super::{
    answer::Head,
    host::HostState,
    request_body::RequestBody,
    script::{Output, Script},
    store::{instantiated, is_success},
};
use crate::{account::Account, engine::Images};

/// Makes an instance, runs it from its start to its end, and takes what it prints for its answer.
///
/// # Errors
/// Whatever ended the program, or what is wrong with its output.
pub(super) async fn handle<B>(
    store: &mut Store<HostState>,
    account: &Account,
    (command, images): (&CommandPre<HostState>, Option<&Arc<Images>>),
    request: Request<RequestBody<B>>,
    answer: oneshot::Sender<Head>,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Error>,
{
    let (parts, body) = request.into_parts();
    let state = store.data_mut();
    let output = Output::new(answer, state.answer.chunk(), parts.method == Method::HEAD);
    let script = Script::new(&parts, body.boxed_unsync(), output.clone(), account)?;
    state.script = Some(Box::new(script));
    let program = instantiated(account, images, command.instantiate_async(&mut *store)).await?;
    match program.wasi_cli_run().call_run(&mut *store).await {
        Ok(Ok(())) => {}
        Ok(Err(())) => return Err(I32Exit(1).into()),
        Err(error) if is_success(&error) => {}
        Err(error) => return Err(error),
    }
    output.finish()?;
    Ok(())
}
