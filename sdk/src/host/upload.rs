//! Bodies of calls outward that go on while something else is waited for.

use std::{future::poll_fn, task::Poll};

use crate::{BodyError, Error, stream::Production};

/// Waits for a future while an upload goes on beside it. What the upload fails with shows in the
/// answer, or in the lack of one.
pub(super) async fn beside<T>(upload: &mut Option<Production>, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    poll_fn(|context| {
        if let Some(sending) = upload
            && let Poll::Ready(result) = sending.as_mut().poll(context)
        {
            *upload = None;
            if let Err(error) = result
                && !is_disconnect(&error)
            {
                crate::log(&format!(
                    "the body of a call outward was cut short: {error}"
                ));
            }
        }
        future.as_mut().poll(context)
    })
    .await
}

/// Returns whether the failure is only that the other side has gone away.
pub(super) fn is_disconnect(error: &Error) -> bool {
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<BodyError>());
    matches!(source, Some(BodyError::Closed))
}
