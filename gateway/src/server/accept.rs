//! Accepts connections from a listening socket, until it is closed in an orderly way.

use std::{future::Future, pin::pin, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

/// The pause when the process has no descriptor left for a connection: one closes sooner than this,
/// and trying in a loop would only keep it from closing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes connections until `end`, and for the time of `grace` those of clients that have not yet heard of it; then
/// closes the socket, with nobody left in the kernel's queue: closing it resets them. Returns when `end` came.
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

/// Takes what the kernel still holds, as the kernel and not as the event queue knows it, and closes the socket.
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
