//! Runs one request: a fresh instance under one deadline, on the worker that owns the connection.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body::Body;
use tokio::{sync::oneshot, time::timeout};
use wasmtime::Trap;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::{Error, WasiBody};

use super::{
    answer::{self, Answer, Head},
    backtrace, command,
    deadline::{Late, Stream, in_time},
    host::HostState,
    label::Label,
    loaded::{Handler, Loaded},
    pace::Pace,
    proxy,
    remains::Running,
    request_body::{Progress, RequestBody},
    response_body::{GuestBody, GuestTask, RouteTimer},
    reuse::{Lasting, Reuse},
    script::{BadOutput, ZeroByte},
    service::{self, LeftOpen, SetError},
    store::{self, NoInstance, is_success},
    unread::Unread,
};
use crate::{
    account::Account,
    admission::Permit,
    content,
    egress::{Egress, NextHandler},
    error::Failure,
    request_headers::RequestId,
};

/// Everything that a request needs besides the request itself.
pub(crate) struct Call {
    /// The package.
    pub account: Arc<Account>,
    /// Its loaded code.
    pub loaded: Arc<Loaded>,
    /// Its reusable instances, if it has `reuse`.
    pub reuse: Option<Arc<Reuse>>,
    /// The permit for the instance.
    pub permit: Permit,
    /// For its outgoing requests.
    pub egress: Egress,
    /// The handler behind it, if it is a middleware.
    pub next: Option<Arc<dyn NextHandler>>,
    /// For the log.
    pub request_id: RequestId,
    /// Observes the duration; `None` for requests without a route.
    pub timer: Option<RouteTimer>,
}

/// Runs the guest until it has a response's head; the body goes on by itself.
///
/// Dropping the future, or the body it returns, stops the guest.
///
/// # Errors
/// When the guest did not answer.
pub(crate) async fn run<B>(call: Call, request: Request<RequestBody<B>>) -> Result<Response<GuestBody>, Failure>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Error>,
{
    let Call {
        account,
        loaded,
        reuse,
        permit,
        egress,
        next,
        request_id,
        timer,
    } = call;
    let progress = request.body().progress();
    let method = request.method().clone();
    let limits = account.config.limits;
    let label = Label {
        account,
        request_id,
    };
    let stream = limits.idle.map(|_| Arc::<Stream>::default());
    let (answer, head) = oneshot::channel();
    let guest = Guest {
        label: label.clone(),
        loaded,
        permit,
        egress,
        next,
        progress: progress.clone(),
        stream: stream.clone(),
    };
    // Boxed: Tokio moves a task before it runs and after it has ended.
    let task = match reuse {
        None => tokio::spawn(Box::pin(guest.drive(request, answer))),
        Some(reuse) => tokio::spawn(Box::pin(guest.drive_again(reuse, request, answer))),
    };
    let mut task = GuestTask::new(task);
    let answered = answered(head, &mut task, &progress, &label);
    let response = match limits.first_byte {
        None => answered.await,
        Some(limit) => match Box::pin(timeout(limit, answered)).await {
            Ok(answered) => answered,
            Err(_) => Err(label.failed(
                late_head(&progress),
                &format!("no head came within {limit:?}"),
            )),
        },
    };
    let (mut head, body) = response?.into_parts();
    answer::fit(&mut head).map_err(|error| label.failed(Failure::GuestBadResponse, &error))?;
    let status = head.status;
    let pace = limits.idle.zip(stream);
    let pace = pace.map(|(limit, stream)| Box::new(Pace::begin(limit, stream, progress.clone())));
    if content::is_forbidden(&method, status) {
        let mut unread = Unread::new(body, task);
        let length = poll_fn(|cx| Poll::Ready(unread.skip(cx))).await?;
        content::fit(&mut head.headers, status, length);
        unread.leave();
        return Ok(Response::from_parts(head, GuestBody::none()));
    }
    let mut waiting = Some((body, task, timer, pace));
    let body = poll_fn(|cx| match waiting.take() {
        Some((body, task, timer, pace)) => Poll::Ready(GuestBody::gather(body, task, timer, &label, pace, cx)),
        None => Poll::Ready(Err(Failure::GuestNoResponse)),
    });
    let body = body.await?;
    // Nothing has been sent yet.
    if let Some(refusal) = progress.refusal() {
        return Err(refusal);
    }
    if body.is_end_stream() && announces_content(&head.headers) {
        return Err(label.failed(
            Failure::GuestBadResponse,
            "its head announces a body and there is none",
        ));
    }
    Ok(Response::from_parts(head, body))
}

/// Waits for the guest's head, or its end without one.
async fn answered(
    head: oneshot::Receiver<Head>,
    task: &mut GuestTask,
    progress: &Progress,
    label: &Label,
) -> Result<Response<WasiBody>, Failure> {
    let answered = head.await;
    if let Some(refusal) = progress.refusal() {
        return Err(refusal);
    }
    match answered {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(code)) => Err(label.failed(
            Failure::GuestNoResponse,
            &format!("it set an error: {code}"),
        )),
        Err(_) => {
            let ended = task.ended().await;
            Err(ended
                .err()
                .unwrap_or_else(|| label.failed(Failure::GuestNoResponse, "it ended without a response")))
        }
    }
}

/// The failure when the head is late: the client's if the guest was waiting for its body, otherwise the guest's.
fn late_head(progress: &Progress) -> Failure {
    if progress.is_awaited() {
        Failure::RequestTimeout
    } else {
        Failure::FirstByteTimeout
    }
}

/// Returns whether a head announces a body that is not empty.
fn announces_content(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_LENGTH)
        .is_some_and(|length| length != "0")
}

struct Guest {
    label: Label,
    loaded: Arc<Loaded>,
    permit: Permit,
    egress: Egress,
    next: Option<Arc<dyn NextHandler>>,
    progress: Progress,
    stream: Option<Arc<Stream>>,
}

impl Guest {
    /// Instantiates and calls the guest.
    async fn drive<B>(self, request: Request<RequestBody<B>>, answer: oneshot::Sender<Head>) -> Result<(), Failure>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Error>,
    {
        let Self {
            label,
            loaded,
            permit,
            egress,
            next,
            progress,
            stream,
        } = self;
        let state = state(&label, egress, &request, &loaded);
        let account = &*label.account;
        let mut running = Running::new(permit);
        let store = running.begin(store::make(loaded.handler.engine(), state));
        let ended = {
            let work = pin!(async {
                store::queue_up(store).await;
                let images = loaded.images.as_ref();
                match &loaded.handler {
                    Handler::Proxy(proxy) => proxy::handle(store, account, (proxy, images), request, answer).await,
                    // Boxed, so that the task of a WASI 0.2 guest does not have to be as large.
                    Handler::Service(service) => {
                        Box::pin(service::handle(
                            store,
                            account,
                            (service, images),
                            next,
                            request,
                            answer,
                        ))
                        .await
                    }
                    Handler::Command(command) => {
                        Box::pin(command::handle(
                            store,
                            account,
                            (command, images),
                            request,
                            answer,
                        ))
                        .await
                    }
                    Handler::CommandOf03(command) => {
                        Box::pin(command::handle_of_03(
                            store,
                            account,
                            (command, images),
                            request,
                            answer,
                        ))
                        .await
                    }
                }
            });
            in_time(account, stream.as_deref(), work).await
        };
        outcome(ended, store.data_mut(), &progress, &label)
    }

    /// Does the same with a reusable instance.
    async fn drive_again<B>(
        self,
        reuse: Arc<Reuse>,
        request: Request<RequestBody<B>>,
        answer: oneshot::Sender<Head>,
    ) -> Result<(), Failure>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Error>,
    {
        let loaded = Arc::clone(&self.loaded);
        let Handler::Service(code) = &loaded.handler else {
            return self.drive(request, answer).await;
        };
        let Self {
            label,
            loaded: _,
            permit,
            egress,
            next,
            progress,
            stream,
        } = self;
        let state = state(&label, egress, &request, &loaded);
        let account = &*label.account;
        let fresh = |state, permit| {
            let mut running = Running::new(permit);
            running.begin(store::make(code.engine(), state));
            running
        };
        let mut instance = reuse.take(state, permit, fresh);
        let Lasting {
            running,
            service,
            kept_at_first,
            ..
        } = &mut instance;
        let Some(store) = running.store() else {
            return Err(Failure::GuestNoResponse);
        };
        let ended = {
            let work = pin!(async {
                store::queue_up(store).await;
                if service.is_none() {
                    let made_of = (code, loaded.images.as_ref());
                    *service = Some(service::instantiate(store, account, made_of).await?);
                    *kept_at_first = store.concurrent_state_table_size();
                }
                match service {
                    Some(service) => service::call(store, service, next, request, answer).await,
                    None => Ok(()),
                }
            });
            in_time(account, stream.as_deref(), work).await
        };
        let is_whole = matches!(ended, Ok(Ok(()))) && progress.refusal().is_none();
        let outcome = outcome(ended, store.data_mut(), &progress, &label);
        if is_whole {
            reuse.put(instance);
        }
        outcome
    }
}

/// The state of the store in which the guest is to answer this request.
fn state<B>(label: &Label, egress: Egress, request: &Request<B>, loaded: &Loaded) -> HostState {
    HostState::new(
        Arc::clone(&label.account),
        egress,
        label.request_id.clone(),
        Answer::new(request),
        loaded.globals,
    )
}

/// The result of a guest.
fn outcome(
    ended: Result<wasmtime::Result<()>, Late>,
    state: &mut HostState,
    progress: &Progress,
    label: &Label,
) -> Result<(), Failure> {
    let (failure, error) = match ended {
        Ok(Ok(())) => return Ok(()),
        // Exiting with 0 is success; whether there was a response is checked where one is awaited.
        Ok(Err(error)) if is_success(&error) && !state.has_unfinished_body() => return Ok(()),
        Ok(Err(error)) => classify(&error, state),
        // If the guest was waiting for the client's body, the client was late.
        Err(Late::Replaced) => (Failure::Replaced, None),
        Err(Late::Deadline) if progress.is_awaited() => (Failure::RequestTimeout, None),
        Err(Late::Deadline) => (Failure::Deadline, None),
    };
    Err(label.failed(failure, error.as_deref().unwrap_or_default()))
}

/// wasmtime's message when an instance has the maximum of handles (100,000); the error has no type.
const TOO_MANY_HANDLES: &str = "store handle limit exceeded";

/// Maps a guest's error to the failure that the client sees and a message for the log.
fn classify(error: &wasmtime::Error, state: &HostState) -> (Failure, Option<String>) {
    let detail = Some(backtrace::readable(error));
    if let Some(exceeded) = state.memory.exceeded() {
        return (Failure::MemoryLimit, Some(exceeded.to_string()));
    }
    if state.memory.is_crowded() {
        let why = "all instances of its package, or of all, have as much memory as they may (`server.memory`)";
        return (Failure::Overloaded, Some(why.to_owned()));
    }
    if state.memory.refused() {
        return (Failure::MemoryLimit, detail);
    }
    if error.root_cause().to_string().contains(TOO_MANY_HANDLES) {
        return (Failure::MemoryLimit, detail);
    }
    if let Some(error) = error.downcast_ref::<SetError>() {
        return (Failure::GuestNoResponse, Some(error.to_string()));
    }
    if let Some(error) = error.downcast_ref::<LeftOpen>() {
        return (Failure::GuestBadResponse, Some(error.to_string()));
    }
    if let Some(error) = error.downcast_ref::<BadOutput>() {
        return (Failure::GuestBadResponse, Some(error.to_string()));
    }
    if let Some(error) = error.downcast_ref::<ZeroByte>() {
        return (Failure::BadRequest, Some(error.to_string()));
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return (
            Failure::GuestNoResponse,
            Some(format!("the guest exited with {code}")),
        );
    }
    // Within the package's own limit, what an instance can lack is a free slot in the pool.
    if error.is::<NoInstance>() && !error.is::<Trap>() {
        return (Failure::Overloaded, detail);
    }
    (Failure::GuestTrap, detail)
}
