//! Accepts connections from a listening socket, until it is closed in an orderly way.

use std::{future::Future, pin::pin, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

/// The pause when the process has no descriptor left for a connection: one closes sooner than this,
/// and trying in a loop would only keep it from closing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `end`, and during `grace` those of clients that have not noticed it yet; then closes the
/// socket once the kernel's queue is empty: closing it resets what is queued. Returns when `end` came.
pub(super) async fn accept_until_closed(
    listener: TcpListener,
    end: impl Future<Output = ()>,
    grace: Duration,
    accept: impl Fn(TcpStream),
) -> Instant {
    accept_until(&listener, end, &accept).await;
    let ended = Instant::now();
    accept_until(&listener, sleep(grace), &accept).await;
    close(listener, accept);
    ended
}

async fn accept_until(listener: &TcpListener, end: impl Future<Output = ()>, accept: impl Fn(TcpStream)) {
    let mut end = pin!(end);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => accept(stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            () = end.as_mut() => return,
        }
    }
}

/// Accepts what the kernel still holds, asking the kernel and not the event loop, and closes the socket.
fn close(listener: TcpListener, accept: impl Fn(TcpStream)) {
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok((stream, _)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            accept(stream);
        }
    }
}
