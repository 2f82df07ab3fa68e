//! The runtime that packages handle events, jobs and bindings on: beside the workers, so that a flood of events takes
//! turns with requests instead of standing in front of them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use tokio::{net::TcpListener, runtime::Runtime};

use super::{StartError, machine};
use crate::{
    config::{DaprConfig, Server as ServerConfig},
    gateway::{Arrival, Gateway},
    server,
};

/// Deliveries under way.
pub(super) struct Deliveries {
    /// There until the end.
    runtime: Option<Runtime>,
    gateway: Arc<Gateway>,
}

impl Deliveries {
    /// Starts the building blocks of `gateway` on `threads` threads; `listener` is what `[dapr] listen` asks for.
    pub(super) async fn start(
        gateway: &Arc<Gateway>,
        threads: usize,
        config: &DaprConfig,
        server: &ServerConfig,
        listener: Option<TcpListener>,
    ) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("delivery")
            .enable_all()
            .build()
            .map_err(|error| machine(&error))?;
        let handle = runtime.handle().clone();
        let deliveries = Self {
            runtime: Some(runtime),
            gateway: Arc::clone(gateway),
        };
        if let Some(blocks) = gateway.blocks().cloned() {
            let client = gateway.client();
            let arrival = Arrival {
                peer: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
                client,
                sidecar: true,
            };
            if let Some(listener) = listener {
                let router = blocks
                    .router(config, gateway, &arrival)
                    .map_err(|error| machine(&error))?;
                let server = server.clone();
                tokio::spawn(async move {
                    server::serve_router(listener, router, &server).await;
                });
            }
            let gateway = Arc::clone(gateway);
            let started = handle.spawn(async move { blocks.start(&gateway, &arrival).await });
            started.await.map_err(|error| machine(&error))?;
        }
        Ok(deliveries)
    }

    /// Takes up no more deliveries and waits for those under way.
    pub(super) async fn drain(&self) {
        if let Some(blocks) = self.gateway.blocks() {
            blocks.stop().await;
        }
    }
}

/// Cuts what is still under way, also when a start fails after deliveries have begun.
impl Drop for Deliveries {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
