//! A handler's answer, ready or as a future.

use std::pin::Pin;

use crate::{IntoResponse, Response, marker};

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
}

/// The return value of a handler: [`IntoResponse`], or a future of it. `M` only tells the two apart.
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
        Answer(AnswerKind::Future(Box::pin(async move {
            self.await.into_response()
        })))
    }
}
