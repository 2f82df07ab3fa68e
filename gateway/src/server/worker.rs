//! A worker: one thread, one event queue, its own listener and its own connections, from accept to drain.

use std::{
    future::Future,
    io,
    net::TcpListener as StdListener,
    pin::pin,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    closing,
    connection::Connection,
    drain::{Drain, GRACE},
    handler::document,
    limits::HeadLimits,
    seats::Seats,
    service::Routes,
};
use crate::{
    config::Server as ServerConfig,
    error::Failure,
    gateway::{ConnectionInfo, Gateway},
    identity::RequestId,
};

/// How long to wait when the process has no descriptor left for a connection: one closes sooner than this,
/// and trying in a loop would only keep it from closing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many connections that there is no place for are answered at once; the others are only closed.
const REFUSALS: usize = 64;

pub(super) struct Worker {
    pub(super) config: ServerConfig,
    pub(super) gateway: Arc<Gateway>,
    pub(super) drain: Drain,
    pub(super) seats: Arc<Seats>,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finished {
    /// With everything answered.
    Whole,
    /// With connections that it cut, or before it could serve any.
    Cut,
}

impl Worker {
    /// Serves until it is told to stop and what is in flight has ended or the drain time-out has passed. Whether it
    /// can serve at all is told first.
    pub(super) fn run(self, listener: StdListener, started: &Sender<io::Result<()>>) -> Finished {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                tell(started, Err(error));
                return Finished::Cut;
            }
        };
        runtime.block_on(async {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    tell(started, Ok(()));
                    self.serve(listener).await
                }
                Err(error) => {
                    tell(started, Err(error));
                    Finished::Cut
                }
            }
        })
    }

    async fn serve(self, listener: TcpListener) -> Finished {
        let client = self.gateway.client();
        let (connections, refusals) = (TaskTracker::new(), TaskTracker::new());
        let accept = |stream: TcpStream| {
            let Ok(peer) = stream.peer_addr() else { return };
            let Ok(seat) = self.seats.take(peer.ip()) else {
                self.gateway.refused(&Failure::Overloaded);
                if refusals.len() < REFUSALS {
                    refusals.spawn(refuse(stream));
                }
                return;
            };
            let info = ConnectionInfo {
                peer: peer.ip().into(),
                client: client.clone(),
                sidecar: false,
            };
            let connection = Connection {
                service: Routes {
                    gateway: Arc::clone(&self.gateway),
                    info,
                },
                limits: HeadLimits::of(&self.config),
                drain: self.drain.clone(),
            };
            connections.spawn(async move {
                connection.serve(stream).await;
                drop(seat);
            });
        };
        accept_until(&listener, self.drain.stopping(), accept).await;
        // Clients whose connection the kernel has made already are served, and so are those that have not yet heard of
        // the end: closing the socket resets them.
        let deadline = Instant::now() + self.config.drain_timeout;
        let grace = sleep_until((Instant::now() + GRACE).min(deadline));
        accept_until(&listener, grace, accept).await;
        close(listener, accept);
        connections.close();
        let whole = timeout(deadline - Instant::now(), connections.wait()).await;
        if whole.is_err() {
            let cut = connections.len();
            tracing::warn!(
                connections = cut,
                "the drain time-out has passed; connections are cut"
            );
            self.gateway.tell_cut();
            return Finished::Cut;
        }
        Finished::Whole
    }
}

/// Answers a connection that there is no place for, whatever it asks.
async fn refuse(mut stream: TcpStream) {
    let document = document(&Failure::Overloaded, false, &RequestId::fresh());
    closing::answer(&mut stream, document).await;
    closing::linger(stream).await;
}

/// Takes connections until `end`.
pub(super) async fn accept_until(listener: &TcpListener, end: impl Future<Output = ()>, accept: impl Fn(TcpStream)) {
    let mut end = pin!(end);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => accept(stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
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

/// Whoever started the worker may have given up on all of them already.
fn tell(started: &Sender<io::Result<()>>, outcome: io::Result<()>) {
    let _ = started.send(outcome);
}
