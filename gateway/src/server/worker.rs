//! A worker: one thread, one event queue, its own listener and its own connections, from accept to drain.

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connection;
use crate::config::Server as ServerConfig;
use crate::egress::Client;
use crate::gateway::{Arrival, Gateway};

/// How long to wait when the process has no descriptor left for a connection: one closes sooner than this,
/// and trying in a loop would only keep it from closing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Worker {
    config: ServerConfig,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
}

impl Worker {
    pub(super) fn new(
        config: ServerConfig,
        gateway: Arc<Gateway>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            config,
            gateway,
            stop,
        }
    }

    /// Serves until it is told to stop and what is in flight has ended or the drain time-out has passed. Whether it
    /// can serve at all is told first.
    pub(super) fn run(self, listener: StdListener, started: &Sender<io::Result<()>>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return tell(started, Err(error)),
        };
        runtime.block_on(async {
            match open(listener) {
                Ok((listener, client)) => {
                    tell(started, Ok(()));
                    self.serve(listener, client).await;
                }
                Err(error) => tell(started, Err(error)),
            }
        });
    }

    async fn serve(self, listener: TcpListener, client: Client) {
        let graceful = GracefulShutdown::new();
        let accept = |stream: TcpStream| {
            let Ok(peer) = stream.peer_addr() else { return };
            let arrival = Arrival {
                peer: peer.ip().into(),
                client: client.clone(),
                sidecar: false,
            };
            let gateway = Arc::clone(&self.gateway);
            let serving =
                connection::serve(stream, arrival, gateway, &self.config, graceful.watcher());
            tokio::spawn(serving);
        };
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => accept(stream),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = self.stop.cancelled() => break,
            }
        }
        // Clients whose connection the kernel has made already are served: closing the socket would reset them.
        while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
            accept(stream);
        }
        drop(listener);
        if tokio::time::timeout(self.config.drain_timeout, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("the drain time-out has passed; requests still in flight are cut");
        }
    }
}

/// What a worker needs of the system besides its event queue.
fn open(listener: StdListener) -> io::Result<(TcpListener, Client)> {
    let client = Client::new().map_err(io::Error::other)?;
    Ok((TcpListener::from_std(listener)?, client))
}

/// Whoever started the worker may have given up on all of them already.
fn tell(started: &Sender<io::Result<()>>, outcome: io::Result<()>) {
    let _ = started.send(outcome);
}
