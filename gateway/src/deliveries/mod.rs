//! Events, jobs, bindings and invocations into packages, on a runtime of their own beside the workers, so that a flood of
//! events takes turns with requests instead of standing in front of them.

mod channel;

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::Router;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::{net::TcpListener, runtime::Runtime};
use wasmgate_dapr::{AppId, AppIdError, Body, BuildingBlocks};

use crate::{
    config::{DaprConfig, Server as ServerConfig},
    egress,
    gateway::{ConnectionInfo, Gateway},
    server,
};
use channel::Packages;

/// Deliveries under way.
pub struct Deliveries {
    /// There until the end.
    runtime: Option<Runtime>,
    gateway: Arc<Gateway>,
}

/// Why there are no deliveries.
#[derive(Debug, thiserror::Error)]
pub enum DeliveriesError {
    /// The system gives no threads or no descriptors for them.
    #[error(transparent)]
    System(#[from] io::Error),
    /// They were given up while they started.
    #[error(transparent)]
    GivenUp(#[from] tokio::task::JoinError),
    /// A name is no app-id: configurations that were checked have none.
    #[error(transparent)]
    AppId(#[from] AppIdError),
}

impl Deliveries {
    /// Starts the building blocks of `gateway` on `threads` threads; `listener` is what `[dapr] listen` asks for.
    ///
    /// # Errors
    /// When the system does not give what they need.
    pub async fn start(
        gateway: &Arc<Gateway>,
        threads: usize,
        config: &DaprConfig,
        server: &ServerConfig,
        listener: Option<TcpListener>,
    ) -> Result<Self, DeliveriesError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("delivery")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let deliveries = Self {
            runtime: Some(runtime),
            gateway: Arc::clone(gateway),
        };
        if let Some(blocks) = gateway.building_blocks().cloned() {
            let connection = ConnectionInfo {
                peer: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
                client: gateway.client(),
                sidecar: true,
            };
            if let Some(listener) = listener {
                let app = AppId::new(&config.app_id)?;
                let router = blocks.router(app, public_routes(gateway, &connection));
                let server = server.clone();
                tokio::spawn(async move {
                    server::serve_router(listener, router, &server).await;
                });
            }
            let gateway = Arc::clone(gateway);
            let started = handle.spawn(async move { start(&blocks, &gateway, connection).await });
            started.await?;
        }
        Ok(deliveries)
    }

    /// Takes up no more deliveries and waits for those under way.
    pub async fn drain(&self) {
        if let Some(blocks) = self.gateway.building_blocks() {
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

async fn start(blocks: &BuildingBlocks, gateway: &Arc<Gateway>, connection: ConnectionInfo) {
    let packages = gateway.packages().iter();
    for package in packages.filter(|package| package.grants.has_table()) {
        package.metrics().expect_deliveries();
    }
    let packages = gateway.packages().iter();
    let apps: Vec<_> = packages.map(|package| package.grants.to_pair()).collect();
    let channel = Packages::new(Arc::downgrade(gateway), connection.client);
    blocks.start(Arc::new(channel), apps).await;
}

/// Answers as the public listener does what a sidecar sends that is no callback: an invocation by another app.
fn public_routes(gateway: &Arc<Gateway>, connection: &ConnectionInfo) -> Router {
    let (gateway, connection) = (Arc::clone(gateway), connection.clone());
    Router::new().fallback(move |request: Request<Body>| {
        let (gateway, connection) = (Arc::clone(&gateway), connection.clone());
        async move {
            let request = request.map(|body| body.map_err(egress::broken));
            gateway.handle(request, &connection).await.map(Body::new)
        }
    })
}
