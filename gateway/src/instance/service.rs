//! Calls a WASI 0.3 guest: its handler returns the response, and the instance lives until its last task has ended,
//! which may write the body, send requests, or work on.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, header,
    uri::{Authority, Scheme},
};
use http_body::Body;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use wasmtime::{Store, component::Access};
use wasmtime_wasi_http::{
    Error, FieldMap, WasiBody, WasiHttpView as _,
    p3::{
        self,
        bindings::{Service, ServicePre},
    },
};

use super::{
    answer::Head,
    concurrent,
    handed::Handed,
    host::HostState,
    request_body::RequestBody,
    store::{self, is_success},
};
use crate::{
    account::Account,
    content,
    egress::{Life, NextHandler},
    engine::Images,
    request_headers,
};

/// The guest returned an error.
#[derive(Debug, thiserror::Error)]
#[error("it set an error: {0:?}")]
pub(super) struct SetError(p3::bindings::http::types::ErrorCode);

/// The guest's tasks have all ended, but its response's body has not.
#[derive(Debug, thiserror::Error)]
#[error("it left its body without an end")]
pub(super) struct LeftOpen;

/// Instantiates the component, calls it, and runs its tasks to their end.
///
/// # Errors
/// When the guest fails.
pub(super) async fn handle<B>(
    store: &mut Store<HostState>,
    account: &Account,
    made_of: (&ServicePre<HostState>, Option<&Arc<Images>>),
    next: Option<Arc<dyn NextHandler>>,
    request: Request<RequestBody<B>>,
    answer: oneshot::Sender<Head>,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Error>,
{
    let instance = instantiate(store, account, made_of).await?;
    call(store, &instance, next, request, answer).await
}

/// Instantiates the component.
///
/// # Errors
/// When no instance can be made.
pub(super) async fn instantiate(
    store: &mut Store<HostState>,
    account: &Account,
    made_of: (&ServicePre<HostState>, Option<&Arc<Images>>),
) -> wasmtime::Result<Service> {
    concurrent::watch(store);
    store::instantiate(store, account, made_of).await
}

/// Calls an instance, and runs its tasks to their end.
///
/// # Errors
/// When the guest fails.
pub(super) async fn call<B>(
    store: &mut Store<HostState>,
    instance: &Service,
    next: Option<Arc<dyn NextHandler>>,
    request: Request<RequestBody<B>>,
    answer: oneshot::Sender<Head>,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Error>,
{
    let (life, handed) = (Life::default(), Handed::default());
    // Dropped before the store, on every path.
    let end = End { life, handed };
    let state = store.data_mut();
    state.tie_to(end.life.clone());
    if let Some(next) = next {
        let length = request.headers().get(header::CONTENT_LENGTH).cloned();
        state.open_next(next, (authority(&request), length), end.life.clone());
    }
    state.bound_writes(concurrent::REQUEST_CHUNK);
    state.answer.handed = Some(end.handed.clone());
    let request = incoming(state, request, &end.life);
    let head = Mutex::new(HeldHead::new(answer));
    let mut all = pin!(store.run_concurrent(async |accessor| {
        let work = async {
            let response = instance
                .handle(accessor, request)
                .await?
                .map_err(SetError)?;
            let response = accessor.with(|store| hand_over(store, response, &end.handed))?;
            head.lock().response = Some(response);
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            let mut is_whole = end.handed.gather();
            head.lock().is_last = true;
            for _ in 0..HOST_TURNS {
                if is_whole {
                    break;
                }
                give_way().await;
                is_whole = end.handed.gather();
            }
            head.lock().send();
            if !is_whole && end.life.is_passing() {
                end.handed.ended().await;
            }
            wasmtime::error::Ok(())
        };
        concurrent::watched(accessor, work).await
    }));
    let ended = poll_fn(|cx| {
        let ended = all.as_mut().poll(cx);
        if ended.is_pending() {
            head.lock().wait(cx);
        }
        ended
    });
    if let Err(error) = ended.await.flatten() {
        // After a complete response the guest may exit.
        if is_success(&error) && end.handed.gather() {
            head.lock().send();
        }
        return Err(error);
    }
    if end.handed.has_ended() {
        Ok(())
    } else {
        Err(LeftOpen.into())
    }
}

/// Polls of the host's work after the guest's last task: the trailers of a received body, which the guest forwards,
/// take one or two.
const HOST_TURNS: u32 = 3;

/// Yields once to the host's work for the guest.
async fn give_way() {
    let mut has_given_way = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_given_way, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Holds back a head while the guest goes on: most guests have written their whole body when they become idle for the
/// second time, and it is sent with its length then.
struct HeldHead {
    answer: Option<oneshot::Sender<Head>>,
    response: Option<Response<WasiBody>>,
    has_rested: bool,
    /// The guest's tasks have ended: the head is sent when the body's end has been checked.
    is_last: bool,
}

impl HeldHead {
    fn new(answer: oneshot::Sender<Head>) -> Self {
        Self {
            answer: Some(answer),
            response: None,
            has_rested: false,
            is_last: false,
        }
    }

    /// Called when the guest is idle.
    fn wait(&mut self, cx: &mut Context<'_>) {
        if self.response.is_none() || self.is_last {
            return;
        }
        if self.has_rested {
            return self.send();
        }
        self.has_rested = true;
        cx.waker().wake_by_ref();
    }

    fn send(&mut self) {
        if let Some(response) = self.response.take()
            && let Some(answer) = self.answer.take()
        {
            // If nobody waits any more, the guest is stopped.
            let _ = answer.send(Ok(response));
        }
    }
}

/// Ends the guest's bodies when it is dropped.
struct End {
    life: Life,
    handed: Handed,
}

impl Drop for End {
    fn drop(&mut self) {
        self.life.end();
        self.handed.close();
    }
}

/// The request as the guest sees it.
fn incoming<B>(state: &mut HostState, request: Request<RequestBody<B>>, life: &Life) -> p3::Request
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Error>,
{
    let authority = authority(&request);
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().cloned();
    let is_https = request_headers::is_https(&parts.headers);
    let headers = FieldMap::new_immutable(state.http().hooks, parts.headers);
    let (request, _) = p3::Request::new(
        parts.method,
        Some(if is_https {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        }),
        authority,
        path,
        headers,
        None,
        life.passing(body),
    );
    request
}

/// The authority of a request.
fn authority<B>(request: &Request<B>) -> Option<Authority> {
    request.uri().authority().cloned().or_else(|| {
        let host = request.headers().get(header::HOST)?;
        Authority::try_from(host.as_bytes()).ok()
    })
}

/// Takes the guest's response, while the guest continues to write its body.
fn hand_over(
    mut store: Access<'_, HostState>,
    mut response: p3::Response,
    handed: &Handed,
) -> wasmtime::Result<Response<WasiBody>> {
    let state = store.data_mut();
    let chunk = state.answer.chunk();
    state.bound_writes(chunk);
    // The length of a response without content describes another response, and the guest is not held to it.
    let is_without = state.answer.is_head || content::is_forbidden_by(response.status);
    let has_next = state.has_next();
    // Nor is a middleware held to the length of the response behind it, whose body it replaced.
    let length = if is_without || has_next {
        take_length(state, &mut response)
    } else {
        None
    };
    let (sent, received) = oneshot::channel();
    let sending = async { received.await.unwrap_or(Err(Error::ConnectionTerminated)) };
    let (mut head, body) = response.into_http(&mut store, sending)?.into_parts();
    store.data_mut().bound_writes(concurrent::REQUEST_CHUNK);
    let mut expected = content_length(&head.headers);
    let state = store.data_mut();
    if let Some(length) = length.filter(|length| is_without || !state.is_anothers(length, &body)) {
        head.headers.insert(header::CONTENT_LENGTH, length);
        if !is_without {
            expected = content_length(&head.headers);
        }
    }
    let body = handed.put(body, expected, sent).boxed_unsync();
    Ok(Response::from_parts(head, body))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

fn take_length(state: &mut HostState, response: &mut p3::Response) -> Option<HeaderValue> {
    let mut headers = HeaderMap::from(std::mem::take(&mut response.headers));
    let length = headers.remove(header::CONTENT_LENGTH);
    response.headers = FieldMap::new_immutable(state.http().hooks, headers);
    length
}
