//! Listeners, one worker per core, and the orderly end of both.

mod connection;
mod listener;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
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
    /// When the system gives a worker no thread, no event queue or no descriptor. Those that have started end then.
    pub fn start(
        listeners: Listeners,
        config: &ServerConfig,
        gateway: &Arc<Gateway>,
    ) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let unless_all = stop.clone().drop_guard();
        let (told, started) = mpsc::channel();
        let threads = listeners
            .sockets
            .into_iter()
            .enumerate()
            .map(|(number, listener)| {
                let worker = worker::Worker::new(config.clone(), Arc::clone(gateway), stop.clone());
                let told = told.clone();
                std::thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .spawn(move || worker.run(listener, &told))
            })
            .collect::<Result<Vec<_>, _>>()?;
        drop(told);
        for _ in &threads {
            // One that ends without a word has panicked.
            let ended = || io::Error::other("a worker ended while it started");
            started.recv().map_err(|_| ended())??;
        }
        unless_all.disarm();
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
