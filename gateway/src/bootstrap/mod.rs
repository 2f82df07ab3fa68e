//! From a checked configuration to a gateway that serves, and to its orderly end.

mod dapr;
mod load;
mod system;
mod unmet;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use wasmgate_common::Diagnostics;

use crate::{
    admin::{self, Status},
    config::{Config, Rejected},
    deliveries::Deliveries,
    gateway::Gateway,
    metrics::Metrics,
    package::Registered,
    server::{self, Listeners, Workers},
};
use system::{Signals, grow_descriptor_table, raise_descriptor_limit};

pub use dapr::caveats;
pub use load::load;

/// How long a memory slot may be idle before its memory goes back: long enough for the next request of a package
/// that is used at all.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Packages that cannot be served and component files that cannot be used, all of them.
    #[error("{0}")]
    Packages(Diagnostics),
    /// The cache directory cannot be used.
    #[error("{0}")]
    Cache(Diagnostics),
    /// An address cannot be listened on.
    #[error("{0}")]
    Listen(Diagnostics),
    /// The building blocks' data cannot be used.
    #[error("{0}")]
    Data(Diagnostics),
    /// The machine does not give what the gateway needs.
    #[error("the gateway cannot start: {0}")]
    Machine(String),
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything in flight was finished.
    Drained,
    /// Something in flight was cut: the drain time-out passed, or a second signal asked for an immediate end.
    Cut,
}

/// Where the gateway serves.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The public listener.
    pub listen: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    /// The Dapr API for other processes, if it is served.
    pub dapr: Option<SocketAddr>,
}

/// Compiles and checks every package and the component files without listening; the packages in the order of the
/// configuration.
///
/// # Errors
/// With every package that cannot be served, and all mistakes in component files.
pub fn check(config: &Config) -> Result<Vec<Registered>, StartError> {
    let metrics = Arc::new(metrics()?);
    load::register(config, &load::loader(config, &metrics)?)
}

/// The mistakes of a configuration, and those of the packages that are right in it.
pub fn all_mistakes(rejected: Rejected) -> Diagnostics {
    let Rejected {
        mut diagnostics,
        sound,
    } = rejected;
    if let Some(sound) = sound
        && let Err(StartError::Packages(found)) = check(&sound)
    {
        diagnostics.merge(found);
    }
    diagnostics
}

/// Serves until SIGTERM or Ctrl-C; `ready` is called once, when requests are taken.
///
/// # Errors
/// When something needed is not there; nothing has been served then.
pub fn up(config: Config, ready: impl FnOnce(Addresses)) -> Result<Ended, StartError> {
    raise_descriptor_limit();
    grow_descriptor_table();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| machine(&error))?;
    let ended = runtime.block_on(serve(config, ready));
    // What a forced end leaves behind on other threads is not waited for.
    runtime.shutdown_background();
    ended
}

async fn serve(config: Config, ready: impl FnOnce(Addresses)) -> Result<Ended, StartError> {
    let mut signals = Signals::new().map_err(|error| machine(&error))?;
    let (listen, admin) = (config.server.listen, config.server.admin);
    let cannot_listen = |key, address, error| {
        if system::is_out_of_descriptors(&error) {
            return StartError::Machine(format!("cannot listen on {address}: {error}"));
        }
        let mistake = config.at_key(key, server::refused(address, &error));
        StartError::Listen(config.diagnostics(vec![mistake]))
    };
    let listeners = Listeners::bind(listen, config.server.workers)
        .map_err(|error| cannot_listen("server.listen", listen, error))?;
    let admin = TcpListener::bind(admin)
        .await
        .map_err(|error| cannot_listen("server.admin", admin, error))?;
    let metrics = Arc::new(metrics()?);
    let status = Status::new(Arc::clone(&metrics), config.server.admin_token.clone());
    let addresses = Addresses {
        listen: listeners.address,
        admin: admin.local_addr().map_err(|error| machine(&error))?,
        dapr: None,
    };
    let (router, server) = (admin::router(status.clone()), config.server.clone());
    tokio::spawn(async move { server::serve_router(admin, router, &server).await });
    let dapr = config.dapr.clone();
    let dapr_listener = match dapr.listen {
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.map_err(|error| cannot_listen("dapr.listen", address, error))?)
        }
        None => None,
    };
    let dapr_address = dapr_listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());

    let server = config.server.clone();
    let loading = tokio::task::spawn_blocking(move || load(config, metrics));
    let gateway = tokio::select! {
        loaded = loading => Arc::new(loaded.map_err(|error| machine(&error))??),
        () = signals.next() => return Ok(Ended::Cut),
    };
    tokio::spawn(trim(Arc::clone(&gateway)));
    let deliveries = Deliveries::start(&gateway, server.workers, &dapr, &server, dapr_listener)
        .await
        .map_err(|error| machine(&error))?;
    let workers = Workers::start(listeners, &server, &gateway).map_err(|error| machine(&error))?;
    status.serving(Arc::clone(&gateway));
    ready(Addresses {
        dapr: dapr_address,
        ..addresses
    });

    signals.next().await;
    status.draining();
    tracing::info!("draining: no new connections are taken");
    let drained = async {
        let is_whole = workers.drain().await;
        deliveries.drain().await;
        is_whole
    };
    // The workers keep to the time-out themselves; this one is for both together.
    let ended = tokio::select! {
        drained = tokio::time::timeout(server.drain_timeout, drained) => match drained {
            Ok(true) => Ended::Drained,
            Ok(false) | Err(_) => Ended::Cut,
        },
        () = signals.next() => Ended::Cut,
    };
    if ended == Ended::Cut {
        gateway.tell_cut();
    }
    drop(deliveries);
    Ok(ended)
}

/// Gives memory of idle slots back, so that a burst does not keep what it took.
async fn trim(gateway: Arc<Gateway>) {
    let mut interval = tokio::time::interval(TRIM_INTERVAL);
    loop {
        interval.tick().await;
        gateway.pool().trim();
    }
}

fn metrics() -> Result<Metrics, StartError> {
    Metrics::new().map_err(|error| machine(&error))
}

fn machine(error: &dyn fmt::Display) -> StartError {
    StartError::Machine(error.to_string())
}
