//! Events, jobs, bindings and invocations into packages, on a runtime of their own, so that a flood of events takes
//! turns with requests instead of blocking them.

mod channel;

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::runtime::{Handle, Runtime};
use wasmgate_dapr::{AppId, Body, BuildingBlocks, Grants, OpenError, Settings as DaprSettings};

use crate::{
    config::Server as ServerConfig,
    egress,
    gateway::{ConnectionInfo, Current, Gateway},
    server::RouterServer,
};
use channel::Packages;

/// The time for which a new configuration waits for packages that do not tell their subscriptions, as a start does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Deliveries under way.
pub(crate) struct Deliveries {
    /// There until the end.
    runtime: Option<Runtime>,
    /// There until the drain, if `[dapr] listen` asks for one.
    server: Option<RouterServer>,
    gateway: Current,
    connection: ConnectionInfo,
}

/// The way to have deliveries go to another gateway. Cloning copies pointers.
#[derive(Clone)]
pub(crate) struct Redirection {
    runtime: Handle,
    gateway: Current,
    connection: ConnectionInfo,
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
        gateway: &Current,
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
        let now = gateway.load_called();
        let connection = now.connection(Ipv4Addr::LOCALHOST.into());
        let connection = ConnectionInfo {
            is_sidecar: true,
            peer: connection.peer.trusted(Some(Arc::from([]))),
            ..connection
        };
        let mut deliveries = Self {
            runtime: Some(runtime),
            server: None,
            gateway: gateway.clone(),
            connection: connection.clone(),
        };
        let Some(building_blocks) = now.building_blocks().cloned() else {
            return Ok(deliveries);
        };
        if let Some(listener) = listener {
            let router = building_blocks.router(app, public_routes(gateway, &connection));
            // What comes in there runs guests: they may not take turns of the runtime that serves the admin listener.
            let _here = handle.enter();
            deliveries.server = Some(RouterServer::start(listener, router, config)?);
        }
        let gateway = gateway.clone();
        let started = handle.spawn(async move { start(&building_blocks, &gateway, connection).await });
        started.await?;
        Ok(deliveries)
    }

    /// The way to have deliveries go to another gateway.
    pub(crate) fn redirection(&self) -> Option<Redirection> {
        Some(Redirection {
            runtime: self.runtime.as_ref()?.handle().clone(),
            gateway: self.gateway.clone(),
            connection: self.connection.clone(),
        })
    }

    /// Begins the end, while requests in flight elsewhere may still cause deliveries: a sidecar is told to take up no
    /// more, and waited for until it has none under way; for other processes every answer on the listener is the last
    /// one on its connection.
    pub(crate) async fn leave(&self) {
        let gateway = self.gateway.load_called();
        let Some(building_blocks) = gateway.building_blocks() else {
            return;
        };
        if let (Some(server), Some(_)) = (&self.server, building_blocks.embedded()) {
            server.begin_drain();
        }
        building_blocks.leave().await;
    }

    /// Takes up no more deliveries and waits for those under way.
    pub(crate) async fn drain(&mut self) {
        if let Some(server) = self.server.take() {
            server.drain().await;
        }
        if let Some(building_blocks) = self.gateway.load_called().building_blocks() {
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

impl Redirection {
    /// Has the building blocks call `next`, and asks its packages for their subscriptions: those that are `changed`,
    /// and all whose grants are. Returns when they have told them, but does not wait long for one that hangs; answers
    /// with the topics that a sidecar will know only when it is started again.
    ///
    /// # Errors
    /// With the mistakes in component files; nothing is changed then.
    pub(crate) async fn turn_to(
        &self,
        next: &Arc<Gateway>,
        settings: DaprSettings,
        changed: BTreeSet<AppId>,
    ) -> Result<Vec<String>, OpenError> {
        let before = self.gateway.load_called();
        let Some(blocks) = next.building_blocks().cloned() else {
            self.gateway.call(Arc::clone(next));
            return Ok(Vec::new());
        };
        let is_first = before.building_blocks().is_none();
        self.gateway.call(Arc::clone(next));
        expect_deliveries(next);
        let (gateway, connection, apps) = (self.gateway.clone(), self.connection.clone(), apps(next));
        let mut turning = self.runtime.spawn(async move {
            if is_first {
                start(&blocks, &gateway, connection).await;
                return Ok(Vec::new());
            }
            blocks.reload(&settings, apps, &changed).await
        });
        match tokio::time::timeout(PATIENCE, &mut turning).await {
            Ok(Ok(turned)) => turned.inspect_err(|_| self.gateway.call(before)),
            Ok(Err(error)) => {
                tracing::error!(%error, "the packages could not be asked for their subscriptions");
                Ok(Vec::new())
            }
            Err(_) => {
                tracing::warn!("the new configuration is served although a package has not told its subscriptions");
                Ok(Vec::new())
            }
        }
    }
}

async fn start(building_blocks: &BuildingBlocks, gateway: &Current, connection: ConnectionInfo) {
    let now = gateway.load_called();
    expect_deliveries(&now);
    let channel = Packages::new(gateway.downgrade(), connection.client);
    let apps = apps(&now);
    drop(now);
    building_blocks.start(Arc::new(channel), apps).await;
}

fn expect_deliveries(gateway: &Gateway) {
    let packages = gateway.packages().iter();
    for package in packages.filter(|package| !package.account.config.grants.is_none()) {
        package.account.metrics().expect_deliveries();
    }
}

/// The apps that the packages are, with their grants.
fn apps(gateway: &Gateway) -> Vec<(AppId, Grants)> {
    let packages = gateway.packages().iter();
    let apps = packages.map(|package| {
        (
            package.name().app_id().clone(),
            package.account.config.grants.clone(),
        )
    });
    apps.collect()
}

/// Answers as the public listener does what a sidecar sends that is no callback: an invocation by another app.
fn public_routes(gateway: &Current, connection: &ConnectionInfo) -> Router {
    let (gateway, connection) = (gateway.clone(), connection.clone());
    Router::new().fallback(move |request: Request<Body>| {
        let (gateway, connection) = (gateway.clone(), connection.clone());
        async move {
            let gateway = gateway.load();
            let request = request.map(|body| body.map_err(egress::broken));
            gateway.handle(request, &connection).await.map(Body::new)
        }
    })
}
