//! A worker: one thread with its own event loop, listener and connections, from accept to drain.

use std::{
    io,
    net::TcpListener as StdListener,
    sync::{Arc, mpsc::Sender},
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{timeout, timeout_at},
};
use tokio_util::task::TaskTracker;

use super::{
    accept::accept_until_closed,
    closing,
    connection::Connection,
    drain::{Drain, GRACE},
    handler::document,
    handshake::{Handshake, Handshakes},
    limits::Limits,
    seats::Seats,
    service::Routes,
    stream::Stream,
    tls::Tls,
};
use crate::{
    config::Server as ServerConfig,
    error::Failure,
    gateway::{ConnectionInfo, Current},
    request_headers::{Peer, RequestId},
};

/// How many connections beyond the limit get a response at once; the others are just closed.
const REFUSALS: usize = 64;

pub(super) struct Worker {
    pub(super) config: ServerConfig,
    pub(super) gateway: Current,
    pub(super) drain: Drain,
    pub(super) seats: Arc<Seats>,
    /// `Some` if clients must use TLS.
    pub(super) tls: Option<Arc<Tls>>,
}

/// The end of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finished {
    /// Everything was answered.
    Whole,
    /// It cut connections, or could not serve.
    Cut,
}

impl Worker {
    /// Serves until the drain has ended or timed out. Reports first whether it can serve at all.
    pub(super) fn run(self, listener: StdListener, started: &Sender<io::Result<()>>) -> Finished {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                report(started, Err(error));
                return Finished::Cut;
            }
        };
        runtime.block_on(async {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    report(started, Ok(()));
                    self.serve(listener).await
                }
                Err(error) => {
                    report(started, Err(error));
                    Finished::Cut
                }
            }
        })
    }

    async fn serve(self, listener: TcpListener) -> Finished {
        let client = self.gateway.load().client();
        let (connections, refusals) = (TaskTracker::new(), TaskTracker::new());
        let handshakes = self.tls.as_ref().map(Handshakes::new);
        let accept = |stream: TcpStream| {
            let Ok(peer) = stream.peer_addr() else { return };
            let tls = handshakes.as_ref().map(|all| all.with(peer.ip()));
            let Ok(seat) = self.seats.take(peer.ip()) else {
                self.gateway.load().refused(Failure::Overloaded.reason());
                if refusals.len() < REFUSALS && tls.as_ref().is_none_or(|tls| !tls.are_waited_for()) {
                    refusals.spawn(refuse(stream, tls));
                }
                return;
            };
            let info = ConnectionInfo {
                peer: Peer::from(peer.ip())
                    .trusted(self.seats.proxies_with(peer.ip()))
                    .secured(self.tls.is_some()),
                client: client.clone(),
                is_sidecar: false,
            };
            let connection = Connection {
                service: Routes {
                    gateway: self.gateway.clone(),
                    info,
                },
                limits: Limits::from_config(&self.config),
                drain: self.drain.clone(),
                tls,
            };
            connections.spawn(async move {
                connection.serve(stream).await;
                drop(seat);
            });
        };
        let grace = GRACE.min(self.config.drain_timeout);
        let stopped = accept_until_closed(listener, self.drain.stopping(), grace, accept).await;
        let deadline = stopped + self.config.drain_timeout;
        connections.close();
        let whole = timeout_at(deadline, connections.wait()).await;
        if whole.is_err() {
            let cut = connections.len();
            tracing::warn!(
                connections = cut,
                "the drain time-out has passed; connections are cut"
            );
            self.gateway.load().warn_of_cut_requests();
            return Finished::Cut;
        }
        Finished::Whole
    }
}

/// Answers a connection beyond the limit, whatever it requests.
async fn refuse(stream: TcpStream, tls: Option<Handshake>) {
    let mut stream = match tls {
        None => Stream::Tcp(stream),
        Some(tls) => match timeout(closing::LINGER_PAUSE, tls.agree(stream)).await {
            Ok(Ok((stream, false))) => stream,
            // An HTTP/2 connection is not worth setting up for a refusal.
            _ => return,
        },
    };
    let document = document(&Failure::Overloaded, false, &RequestId::fresh());
    closing::answer(&mut stream, document).await;
    closing::linger(stream).await;
}

/// The starter may have given up on all workers already.
fn report(started: &Sender<io::Result<()>>, outcome: io::Result<()>) {
    let _ = started.send(outcome);
}
