//! Listeners, one worker per core, and the orderly end of both.

mod connection;
mod listener;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

use crate::config::Server as ServerConfig;
use crate::gateway::Gateway;

pub use listener::{Listeners, refused};

/// The workers, serving.
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Workers {
    /// Starts one worker for each socket.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start(
        listeners: Listeners,
        config: &ServerConfig,
        gateway: &Arc<Gateway>,
    ) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let threads = listeners
            .sockets
            .into_iter()
            .enumerate()
            .map(|(number, listener)| {
                let worker = worker::Worker::new(
                    listener,
                    config.clone(),
                    Arc::clone(gateway),
                    stop.clone(),
                );
                std::thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .spawn(move || worker.run())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { threads, stop })
    }

    /// Stops accepting, lets what is in flight finish for up to the drain time-out, and waits for the end.
    pub async fn drain(self) {
        self.stop.cancel();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in self.threads {
                if thread.join().is_err() {
                    tracing::error!("a worker ended abnormally");
                }
            }
        });
        if joined.await.is_err() {
            tracing::error!("the workers could not be waited for");
        }
    }
}

/// An address as a client would write it.
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
