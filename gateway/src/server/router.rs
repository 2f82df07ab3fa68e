//! The gateway's own listeners: admin, and `[dapr] listen`.

use std::{io, net::TcpListener as StdListener};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    accept::accept_until_closed,
    connection::Connection,
    drain::{Drain, GRACE},
    limits::Limits,
    seats::Seats,
    service::RouterService,
};
use crate::config::Server as ServerConfig;

/// Serves a router under the limits of the public listener. If it is dropped without a drain, it serves until its
/// runtime ends.
#[derive(Debug)]
pub(crate) struct RouterServer {
    drain: Drain,
    closing: CancellationToken,
    serving: JoinHandle<()>,
}

impl RouterServer {
    /// Serves `router` on the current Tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be registered with the event loop.
    pub(crate) fn start(listener: StdListener, router: Router, config: &ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::from_std(listener)?;
        let (drain, closing) = (Drain::default(), CancellationToken::new());
        let serving = serve(
            listener,
            router,
            Limits::from_config(config),
            drain.clone(),
            closing.clone(),
        );
        let serving = tokio::spawn(serving);
        Ok(Self {
            drain,
            closing,
            serving,
        })
    }

    /// Sends `connection: close` with every response from now on, and closes idle connections. New ones are accepted:
    /// what drains elsewhere may still cause requests.
    pub(crate) fn begin_drain(&self) {
        self.drain.begin();
    }

    /// Stops accepting, and waits until every request that has begun to arrive is answered, without a time-out.
    pub(crate) async fn drain(self) {
        self.drain.begin();
        self.closing.cancel();
        if self.serving.await.is_err() {
            tracing::error!("a listener ended abnormally");
        }
    }
}

async fn serve(listener: TcpListener, router: Router, limits: Limits, drain: Drain, closing: CancellationToken) {
    let (connections, seats) = (TaskTracker::new(), Seats::of_own_listener());
    let accept = |stream: TcpStream| {
        let Ok(peer) = stream.peer_addr() else { return };
        let Ok(seat) = seats.take(peer.ip()) else {
            return;
        };
        let connection = Connection {
            service: RouterService {
                router: router.clone(),
                peer,
            },
            limits,
            drain: drain.clone(),
            tls: None,
        };
        connections.spawn(async move {
            connection.serve(stream).await;
            drop(seat);
        });
    };
    accept_until_closed(listener, closing.cancelled(), GRACE, accept).await;
    connections.close();
    connections.wait().await;
}
