//! Calls a package's router from plain `cargo test`, with no host and no socket.
//!
//! ```
//! use wasmgate_sdk::{Request, Response, Router, client, testing};
//!
//! let app = Router::new().get("/proxy", |_| async {
//!     let answer = client::get("http://inner/data").send().await?.text().await?;
//!     Ok::<_, wasmgate_sdk::Error>(Response::text(answer))
//! });
//!
//! // Without this, every call outward is refused as the gateway would refuse it.
//! let inner = Router::new().get("/data", |_| "inner data");
//! let _outside = testing::outbound(move |request| testing::respond(&inner, request));
//!
//! let reply = testing::call(&app, Request::get("/proxy").with_header("accept", "text/plain"));
//! assert_eq!(reply.text(), "inner data");
//! ```

#[cfg(feature = "dapr")]
mod dapr;
mod reply;
mod request;

use std::{
    cell::RefCell,
    collections::VecDeque,
    marker::PhantomData,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

#[cfg(feature = "dapr")]
pub use dapr::{Attempt, Dapr, dapr};
pub use reply::Reply;

use crate::{
    BodyWriter, Error, HeaderMap, Method, Request, Response, Router,
    answer::AnswerKind,
    client,
    host::Sink,
    stream::{Payload, Trailers},
};

/// Answers a call outward.
type Outside = Rc<dyn Fn(Request) -> Result<Response, client::Error>>;

thread_local! {
    static OUTSIDE: RefCell<Option<Outside>> = const { RefCell::new(None) };
}

/// Runs one request through the router, body and all.
///
/// # Panics
/// When a route's pattern is wrong, or when the answer's body fails: a test has to know.
pub fn call(router: &Router, request: Request) -> Reply {
    let mistakes = router.mistakes();
    assert!(mistakes.is_empty(), "{}", mistakes.join("; "));
    let to_head = *request.method() == Method::HEAD;
    let (status, headers, payload) = run(router, request).into_parts(to_head);
    match block_on(collect(payload)) {
        Ok((chunks, trailers)) => Reply::new(status, headers.map().clone(), chunks, trailers),
        Err(error) => fail(&format!("the answer's body failed: {error}")),
    }
}

/// Answers from a router, for [`outbound`].
pub fn respond(router: &Router, request: Request) -> Result<Response, client::Error> {
    Ok(run(router, request))
}

/// Answers this thread's calls outward with a closure, until what it returns is dropped.
#[must_use = "calls outward are refused again as soon as this is dropped"]
pub fn outbound(answer: impl Fn(Request) -> Result<Response, client::Error> + 'static) -> Outbound {
    let before = OUTSIDE.replace(Some(Rc::new(answer)));
    Outbound {
        before,
        thread_bound: PhantomData,
    }
}

/// Keeps the closure of [`outbound`] in place.
pub struct Outbound {
    before: Option<Outside>,
    thread_bound: PhantomData<Rc<()>>,
}

impl Drop for Outbound {
    fn drop(&mut self) {
        OUTSIDE.set(self.before.take());
    }
}

/// Runs a future to its end on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// The answer to a call outward; refused when the test says nothing about it.
pub(crate) fn answer(request: Request) -> Result<Response, client::Error> {
    // Not borrowed while it runs: it may call outward itself.
    let outside = OUTSIDE.with_borrow(Option::clone);
    outside.map_or(Err(client::Error::Denied), |outside| outside(request))
}

/// All pieces of a body, and its trailers.
pub(crate) async fn collect(payload: Payload) -> Result<(VecDeque<Vec<u8>>, HeaderMap), Error> {
    match payload {
        Payload::Full(bytes) if bytes.is_empty() => Ok(Default::default()),
        Payload::Full(bytes) => Ok(([bytes.into_owned()].into(), HeaderMap::new())),
        Payload::Stream(produce) => {
            let (sink, trailers) = (Sink::default(), Trailers::default());
            produce(BodyWriter::new(sink.clone(), Rc::clone(&trailers))).await?;
            Ok((sink.0.take(), trailers.take()))
        }
    }
}

fn run(router: &Router, request: Request) -> Response {
    match router.dispatch(request).0 {
        AnswerKind::Ready(response) => response,
        AnswerKind::Future(future) => block_on(future),
    }
}

#[allow(
    clippy::panic,
    reason = "this module runs in tests only, where a panic is a test's failure"
)]
fn fail(message: &str) -> ! {
    panic!("{message}")
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
