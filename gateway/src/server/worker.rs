//! A worker: one thread, one event queue, its own listener and its own connections, from accept to drain.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
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
    listener: StdListener,
    config: ServerConfig,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
}

impl Worker {
    pub(super) fn new(
        listener: StdListener,
        config: ServerConfig,
        gateway: Arc<Gateway>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            listener,
            config,
            gateway,
            stop,
        }
    }

    /// Serves until it is told to stop and what is in flight has ended or the drain time-out has passed.
    pub(super) fn run(self) {
        let runtime = match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "a worker has no event queue"),
        };
        if let Err(error) = runtime.block_on(self.serve()) {
            tracing::error!(%error, "a worker cannot serve");
        }
    }

    async fn serve(self) -> Result<(), Box<dyn std::error::Error>> {
        let listener = TcpListener::from_std(self.listener)?;
        let client = Client::new()?;
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
        Ok(())
    }
}
