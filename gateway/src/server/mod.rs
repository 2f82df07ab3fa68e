//! Listeners, one worker per core, and their orderly end.

mod accept;
mod answer;
mod closing;
mod connection;
mod date;
mod drain;
mod exchange;
mod frames;
mod handler;
mod handshake;
mod limits;
mod listener;
mod records;
mod router;
mod seats;
mod service;
mod stream;
mod streams;
mod tls;
mod turns;
mod upload;
mod wire;
mod worker;

use std::{
    io,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use crate::{config::Server as ServerConfig, gateway::Current};
use drain::Drain;
use seats::Seats;
use worker::Finished;

pub(crate) use listener::{Listeners, diagnose, listen};
pub(crate) use router::RouterServer;
pub(crate) use tls::Tls;

/// The running workers.
pub(crate) struct Workers {
    threads: Vec<JoinHandle<Finished>>,
    drain: Drain,
}

impl Workers {
    /// Starts one worker per socket, with TLS if given.
    ///
    /// # Errors
    /// When a worker cannot get a thread, an event loop or a descriptor. Workers that have started end then.
    pub(crate) fn start(
        listeners: Listeners,
        config: &ServerConfig,
        gateway: &Current,
        tls: Option<&Arc<Tls>>,
    ) -> io::Result<Self> {
        let (drain, seats) = (Drain::default(), Seats::from_config(config));
        let unless_all = drain.guard();
        let (starting, started) = mpsc::channel();
        let threads = listeners
            .sockets
            .into_iter()
            .enumerate()
            .map(|(number, listener)| {
                let worker = worker::Worker {
                    config: config.clone(),
                    gateway: gateway.clone(),
                    drain: drain.clone(),
                    seats: Arc::clone(&seats),
                    tls: tls.cloned(),
                };
                let starting = starting.clone();
                std::thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .spawn(move || worker.run(listener, &starting))
            })
            .collect::<Result<Vec<_>, _>>()?;
        drop(starting);
        for _ in &threads {
            // A worker that ends without a result has panicked.
            let ended = || io::Error::other("a worker ended while it started");
            started.recv().map_err(|_| ended())??;
        }
        unless_all.disarm();
        Ok(Self { threads, drain })
    }

    /// Stops accepting, waits for requests in flight up to the drain time-out, and for the workers' end. Returns
    /// whether nothing was cut.
    pub(crate) async fn drain(self) -> bool {
        self.drain.begin();
        let joined = tokio::task::spawn_blocking(move || {
            let mut is_whole = true;
            for thread in self.threads {
                match thread.join() {
                    Ok(finished) => is_whole &= finished == Finished::Whole,
                    Err(_) => {
                        tracing::error!("a worker ended abnormally");
                        is_whole = false;
                    }
                }
            }
            is_whole
        });
        joined.await.unwrap_or_else(|_| {
            tracing::error!("the workers could not be waited for");
            false
        })
    }
}
