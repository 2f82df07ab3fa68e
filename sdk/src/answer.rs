//! A handler's answer, ready or as a future.

use std::pin::Pin;

use crate::{IntoResponse, Response, error::OpaqueError, marker};

/// A handler's answer, ready or as a future.
pub struct Answer(pub(crate) AnswerKind);

pub(crate) enum AnswerKind {
    Ready(Response),
    Future(Pin<Box<dyn Future<Output = Response>>>),
}

impl Answer {
    pub(crate) fn ready(response: Response) -> Self {
        Answer(AnswerKind::Ready(response))
    }

    /// The answer that a function makes of this one, at once where it is ready.
    pub fn map(self, change: impl FnOnce(Response) -> Response + 'static) -> Self {
        match self.0 {
            AnswerKind::Ready(response) => Answer::ready(change(response)),
            AnswerKind::Future(future) => Answer::future(async move { change(future.await) }),
        }
    }

    pub(crate) fn future(future: impl Future<Output = Response> + 'static) -> Self {
        Answer(AnswerKind::Future(Box::pin(future)))
    }
}

impl IntoFuture for Answer {
    type Output = Response;
    type IntoFuture = Pin<Box<dyn Future<Output = Response>>>;

    fn into_future(self) -> Self::IntoFuture {
        match self.0 {
            AnswerKind::Ready(response) => Box::pin(std::future::ready(response)),
            AnswerKind::Future(future) => future,
        }
    }
}

/// The return value of a handler: [`IntoResponse`], a `Result` of it with an error as libraries hand it out
/// ([`OpaqueError`]), or a future of either. `M` only tells them apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer",
    label = "a handler cannot return this, nor a future of it",
    note = "return text, bytes, `Json(value)`, `Html(text)`, a `StatusCode`, a `Redirect` or a `Response`",
    note = "or a tuple of a `StatusCode`, headers and one of those, or an `Option` or `Result` of one",
    note = "the error of a `Result` has to be `wasmgate_sdk::Error`, any `std::error::Error`, `anyhow::Error` or \
            `Box<dyn Error>`"
)]
pub trait IntoAnswer<M> {
    /// Converts it into the answer.
    fn into_answer(self) -> Answer;
}

impl<T: IntoResponse> IntoAnswer<marker::Sync> for T {
    fn into_answer(self) -> Answer {
        Answer::ready(self.into_response())
    }
}

impl<F> IntoAnswer<marker::Async> for F
where
    F: Future + 'static,
    F::Output: IntoResponse,
{
    fn into_answer(self) -> Answer {
        Answer::future(async move { self.await.into_response() })
    }
}

impl<T: IntoResponse, E: OpaqueError> IntoAnswer<marker::OpaqueSync> for Result<T, E> {
    fn into_answer(self) -> Answer {
        Answer::ready(self.map_err(E::into_error).into_response())
    }
}

impl<F, T, E> IntoAnswer<marker::OpaqueAsync> for F
where
    F: Future<Output = Result<T, E>> + 'static,
    T: IntoResponse,
    E: OpaqueError,
{
    fn into_answer(self) -> Answer {
        Answer::future(async move { self.await.map_err(E::into_error).into_response() })
    }
}

/// What has been made already.
impl IntoAnswer<marker::Made> for Answer {
    fn into_answer(self) -> Answer {
        self
    }
}
