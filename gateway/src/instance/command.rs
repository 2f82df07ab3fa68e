//! Runs a program (CGI) from start to exit; its standard output is the response.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use http::{Method, Request};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi::{I32Exit, p2::bindings::CommandPre, p3};
use wasmtime_wasi_http::Error;

use super::{
    answer::Head,
    concurrent,
    host::HostState,
    request_body::RequestBody,
    script::{Output, Script},
    store::{instantiate, is_success},
};
use crate::{account::Account, egress::Life, engine::Images};

/// Instantiates the program, runs it to its end, and answers with its output.
///
/// # Errors
/// When the program fails, or its output is not a valid response.
pub(super) async fn handle<B>(
    store: &mut Store<HostState>,
    account: &Account,
    made_of: (&CommandPre<HostState>, Option<&Arc<Images>>),
    request: Request<RequestBody<B>>,
    answer: oneshot::Sender<Head>,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Error>,
{
    let output = furnish(store.data_mut(), account, request, answer)?;
    let program = instantiate(store, account, made_of).await?;
    let ran = program.wasi_cli_run().call_run(&mut *store).await;
    ended(ran, &output)
}

/// The same for a WASI 0.3 program, which has ended when its last task has.
///
/// # Errors
/// When the program fails, or its output is not a valid response.
pub(super) async fn handle_of_03<B>(
    store: &mut Store<HostState>,
    account: &Account,
    made_of: (&p3::bindings::CommandPre<HostState>, Option<&Arc<Images>>),
    request: Request<RequestBody<B>>,
    answer: oneshot::Sender<Head>,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Error>,
{
    concurrent::watch(store);
    let output = furnish(store.data_mut(), account, request, answer)?;
    let program = instantiate(store, account, made_of).await?;
    // Dropped before the store, on every path.
    let end = End(Life::default());
    let state = store.data_mut();
    state.tie_to(end.0.clone());
    state.bound_writes(concurrent::REQUEST_CHUNK);
    let running = store.run_concurrent(async |accessor| {
        let work = async {
            let ran = program.wasi_cli_run().call_run(accessor).await?;
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            wasmtime::error::Ok(ran)
        };
        concurrent::watched(accessor, work).await
    });
    ended(running.await.flatten(), &output)
}

/// Ends the bodies of the program's requests when it is dropped.
struct End(Life);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Sets up a program's environment and standard streams, and returns its output.
fn furnish<B>(
    state: &mut HostState,
    account: &Account,
    request: Request<RequestBody<B>>,
    answer: oneshot::Sender<Head>,
) -> wasmtime::Result<Output>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Error>,
{
    let (parts, body) = request.into_parts();
    let output = Output::new(answer, state.answer.chunk(), parts.method == Method::HEAD);
    let script = Script::new(&parts, body.boxed_unsync(), output.clone(), account)?;
    state.script = Some(Box::new(script));
    Ok(output)
}

/// Completes the output: only a successful exit makes it complete.
fn ended(ran: wasmtime::Result<Result<(), ()>>, output: &Output) -> wasmtime::Result<()> {
    match ran {
        Ok(Ok(())) => {}
        Ok(Err(())) => return Err(I32Exit(1).into()),
        Err(error) if is_success(&error) => {}
        Err(error) => return Err(error),
    }
    output.finish()?;
    Ok(())
}
