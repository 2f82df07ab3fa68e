//! Events, jobs, bindings and invocations into packages, on a runtime of their own beside the workers, so that a flood
//! of events takes turns with requests instead of standing in front of them.

mod channel;

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
};

use axum::Router;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;
use wasmgate_dapr::{AppId, Body, BuildingBlocks};

use crate::{
    config::Server as ServerConfig,
    egress,
    gateway::{ConnectionInfo, Gateway},
    server::RouterServer,
};
use channel::Packages;

/// Deliveries under way.
pub(crate) struct Deliveries {
    /// There until the end.
    runtime: Option<Runtime>,
    /// There until the drain, if `[dapr] listen` asks for one.
    server: Option<RouterServer>,
    building_blocks: Option<BuildingBlocks>,
}

/// A start of deliveries that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveriesError {
    /// The system gives no threads or no descriptors for them.
    #[error(transparent)]
    System(#[from] io::Error),
    /// They were given up while they started.
    #[error(transparent)]
    GivenUp(#[from] tokio::task::JoinError),
}

impl Deliveries {
    /// Starts the building blocks of `gateway`, on as many threads as there are workers; `listener` is what `[dapr]
    /// listen` asks for, on which other processes call as `app`.
    ///
    /// # Errors
    /// When the system does not give what they need.
    pub(crate) async fn start(
        gateway: &Arc<Gateway>,
        config: &ServerConfig,
        app: AppId,
        listener: Option<TcpListener>,
    ) -> Result<Self, DeliveriesError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.workers)
            .thread_name("delivery")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let mut deliveries = Self {
            runtime: Some(runtime),
            server: None,
            building_blocks: gateway.building_blocks().cloned(),
        };
        let Some(building_blocks) = deliveries.building_blocks.clone() else {
            return Ok(deliveries);
        };
        let connection = ConnectionInfo {
            is_sidecar: true,
            ..gateway.connection(Ipv4Addr::LOCALHOST.into())
        };
        if let Some(listener) = listener {
            let router = building_blocks.router(app, public_routes(gateway, &connection));
            // What comes in there runs guests: they may not take turns of the runtime that serves the admin listener.
            let _here = handle.enter();
            deliveries.server = Some(RouterServer::start(listener, router, config)?);
        }
        let gateway = Arc::clone(gateway);
        let started = handle.spawn(async move { start(&building_blocks, &gateway, connection).await });
        started.await?;
        Ok(deliveries)
    }

    /// Has every answer on the listener be the last one on its connection: the end has begun, but requests in flight
    /// elsewhere may still cause deliveries.
    pub(crate) fn begin_drain(&self) {
        if let Some(server) = &self.server {
            server.begin_drain();
        }
    }

    /// Takes up no more deliveries and waits for those under way.
    pub(crate) async fn drain(&mut self) {
        if let Some(server) = self.server.take() {
            server.drain().await;
        }
        if let Some(building_blocks) = &self.building_blocks {
            building_blocks.stop().await;
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

async fn start(building_blocks: &BuildingBlocks, gateway: &Arc<Gateway>, connection: ConnectionInfo) {
    let packages = gateway.packages().iter();
    for package in packages.filter(|package| !package.account.config.grants.is_none()) {
        package.account.metrics().expect_deliveries();
    }
    let packages = gateway.packages().iter();
    let apps = packages.map(|package| {
        (
            package.name().app_id().clone(),
            package.account.config.grants.clone(),
        )
    });
    let apps: Vec<_> = apps.collect();
    let channel = Packages::new(Arc::downgrade(gateway), connection.client);
    building_blocks.start(Arc::new(channel), apps).await;
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
