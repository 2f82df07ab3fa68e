//! Start and shutdown: from a checked configuration to a serving gateway, and to its orderly end.

mod dapr;
mod load;
mod memory_limit;
mod outdated;
mod progress;
mod register;
mod reload;
mod ship;
mod sockets;
mod stock;
mod system;
mod unmet;
mod wait;
mod watch;

use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::mpsc, task::JoinHandle};
use wasmgate_common::Diagnostics;

use crate::{
    admin::{self, Status},
    config::{Config, Rejected, ServerTls},
    deliveries::Deliveries,
    gateway::Current,
    metrics::Metrics,
    package::Registered,
    server::{RouterServer, Tls, Workers},
};
use progress::Show;
use register::Together;
use reload::Reloader;
use sockets::Sockets;
use system::{Signals, Told, grow_descriptor_table, raise_descriptor_limit, tell_of_address_space};

pub use load::load;
pub use ship::code_of;
pub use sockets::Addresses;
pub use stock::{cached, prune};
pub use watch::{WatchBy, Watching};

pub use crate::{
    engine::{Choice, World},
    package::{
        Cached, Kind,
        compiler::{compile_in_processes_of, compiler_process},
    },
};

/// How long a memory slot may be idle before its memory is returned: long enough for the next request of a used
/// package.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// A start that failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// All mistakes in packages and component files.
    #[error("{0}")]
    Packages(Diagnostics),
    /// The command line asks for what cannot be together with the rest.
    #[error("{0}")]
    Arguments(Diagnostics),
    /// The cache directory cannot be used.
    #[error("{0}")]
    Cache(Diagnostics),
    /// An address cannot be listened on.
    #[error("{0}")]
    Listen(Diagnostics),
    /// The building blocks' data cannot be used.
    #[error("{0}")]
    Data(Diagnostics),
    /// The machine refused a resource.
    #[error("the gateway cannot start: {0}")]
    Machine(String),
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything in flight was finished.
    Drained,
    /// Requests in flight were cut, by the drain time-out or a second signal.
    Cut,
}

/// Compiles and checks all packages and the component files without listening. Returns the packages in the order of the
/// configuration.
///
/// # Errors
/// With every package that cannot be served, and all mistakes in component files. Nothing is compiled while there are
/// mistakes that can be found without compiling.
pub fn check(config: &Config) -> Result<Vec<Registered>, StartError> {
    let loader = load::loader(config, &Arc::new(metrics()?))?;
    Together::new(config, &loader)
        .with_files()
        .with_unused_files()
        .register_all(Show::at_start())
}

/// The same of the packages alone.
///
/// # Errors
/// With every package that cannot be served.
pub fn check_packages(config: &Config) -> Result<Vec<Registered>, StartError> {
    let loader = load::loader(config, &Arc::new(metrics()?))?;
    Together::new(config, &loader).register_all(Show::at_start())
}

/// The mistakes of a configuration, and those of its valid packages that can be found without compiling.
pub fn all_mistakes(rejected: Rejected) -> Diagnostics {
    let Rejected {
        mut diagnostics,
        sound,
    } = rejected;
    if let Some(sound) = sound
        && let Err(StartError::Packages(found)) = look(&sound)
    {
        diagnostics.merge(found);
    }
    diagnostics
}

/// Like [`check`], without compiling anything.
fn look(config: &Config) -> Result<(), StartError> {
    let loader = load::loader(config, &Arc::new(metrics()?))?;
    Together::new(config, &loader)
        .with_files()
        .with_unused_files()
        .look()
}

/// Warnings, a sentence each.
pub fn caveats(config: &Config) -> Vec<String> {
    let tls = config.server.tls.as_ref();
    let mut caveats = tls.map(ServerTls::caveats).unwrap_or_default();
    if config.routes.is_empty() && !config.uses_building_blocks() {
        caveats.push("there is no [[route]], and so every request is answered with 404 (no-route)".to_owned());
    }
    caveats.extend(dapr::caveats(config));
    caveats
}

/// Options of the command line.
#[derive(Debug, Default, Clone, Copy)]
pub struct Overrides {
    /// The public listener's address.
    pub listen: Option<SocketAddr>,
    /// The admin listener's address.
    pub admin: Option<SocketAddr>,
    /// Reload when a file of the configuration or one that it names changes, and build packages when their sources do.
    pub watch: Option<Watching>,
}

/// Serves until SIGTERM or Ctrl-C, and reloads on SIGHUP; `ready` is called once, when requests are accepted.
///
/// # Errors
/// When the start fails; nothing has been served then.
pub fn up(config: Config, overrides: Overrides, ready: impl FnOnce(Addresses)) -> Result<Ended, StartError> {
    raise_descriptor_limit();
    tell_of_address_space();
    grow_descriptor_table();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| machine(&error))?;
    let ended = runtime.block_on(serve(config, overrides, ready));
    // A forced end does not wait for other threads.
    runtime.shutdown_background();
    ended
}

async fn serve(mut config: Config, overrides: Overrides, ready: impl FnOnce(Addresses)) -> Result<Ended, StartError> {
    let (first, started) = (Arc::new(config.clone()), SystemTime::now());
    config.server.listen = overrides.listen.unwrap_or(config.server.listen);
    config.server.admin = overrides.admin.unwrap_or(config.server.admin);
    let mut signals = Signals::new().map_err(|error| machine(&error))?;
    let sockets = Sockets::bind(&config, &overrides)?;
    let addresses = sockets.addresses()?;
    let metrics = Arc::new(metrics()?);
    let (server, app) = (config.server.clone(), config.dapr.app_id.clone());
    let tls = tls(&config, &metrics)?;
    let status = Status::new(
        Arc::clone(&metrics),
        server.admin_token.clone(),
        tls.clone(),
    );
    let router = admin::router(status.clone());
    RouterServer::start(sockets.admin, router, &server).map_err(|error| machine(&error))?;

    // Before the files are read, so that no change is missed.
    let watch = overrides
        .watch
        .map(|watching| watch::Watch::new(config.clone(), watching));
    let told = status.clone();
    let loading = tokio::task::spawn_blocking(move || load::load_with(config, metrics, |reason| told.waiting(reason)));
    let gateway = tokio::select! {
        loaded = loading => Current::new(Arc::new(loaded.map_err(|error| machine(&error))??)),
        // Nothing has been served, so nothing is cut.
        () = signals.end("starts, and reads its configuration") => return Ok(Ended::Drained),
    };
    tokio::spawn(trim(gateway.clone()));
    tokio::spawn(look_for_news(gateway.clone(), status.clone()));
    let deliveries = Deliveries::start(&gateway, &server, app, sockets.dapr);
    let deliveries = deliveries.await.map_err(|error| machine(&error))?;
    let workers = Workers::start(sockets.public, &server, &gateway, tls.as_ref()).map_err(|error| machine(&error))?;
    if let Some(tls) = &tls {
        tokio::spawn(Arc::clone(tls).follow());
    }
    status.serving(gateway.clone());
    unmet::warn_of_unreached(&gateway.load());
    let mut watching = None;
    if let Some(redirection) = deliveries.redirection() {
        let (wishes, wished) = mpsc::unbounded_channel();
        status.take_wishes(wishes);
        let reloader = Reloader {
            first,
            current: gateway.clone(),
            redirection,
            status: status.clone(),
            tls,
            started,
        };
        tokio::spawn(reloader.run(wished));
        if let Some(watch) = watch {
            watching = Some(tokio::spawn(watch.run(status.clone())));
        }
    }
    ready(addresses);

    while signals.next().await == Told::Reload {
        let status = status.clone();
        tokio::spawn(async move { status.reload().await });
    }
    status.draining();
    // With its running builds.
    drop(watching.inspect(JoinHandle::abort));
    tracing::info!("draining: no new connections are taken");
    gateway.load().keep_no_instances();
    let drained = tokio::time::timeout(server.drain_timeout, drain(workers, deliveries));
    // The workers enforce the time-out themselves; this one covers everything.
    let ended = tokio::select! {
        drained = drained => drained.unwrap_or(Ended::Cut),
        () = signals.end("drains and will end; its next start reads the configuration") => Ended::Cut,
    };
    if ended == Ended::Cut {
        gateway.load().warn_of_cut_requests();
    }
    Ok(ended)
}

/// Drains the public listener, and meanwhile lets a sidecar notice; both before the listener of deliveries, which
/// requests in flight may still need.
async fn drain(workers: Workers, mut deliveries: Deliveries) -> Ended {
    let (is_whole, ()) = tokio::join!(workers.drain(), deliveries.leave());
    deliveries.drain().await;
    if is_whole { Ended::Drained } else { Ended::Cut }
}

/// The TLS of the public listener, if it is to have any.
fn tls(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Arc<Tls>>, StartError> {
    let Some(shown) = &config.server.tls else {
        return Ok(None);
    };
    for caveat in shown.caveats() {
        tracing::warn!("{caveat}");
    }
    Tls::new(shown, metrics)
        .map(Some)
        .map_err(|error| machine(&error))
}

/// Returns memory of idle slots periodically, so that a burst does not keep it.
async fn trim(gateway: Current) {
    let mut interval = tokio::time::interval(TRIM_INTERVAL);
    loop {
        interval.tick().await;
        gateway.load().trim();
    }
}

/// Looks tags up periodically, and reloads when one has moved.
async fn look_for_news(gateway: Current, status: Status) {
    loop {
        let loader = Arc::clone(&gateway.load().shared().loader);
        loader.registry().due().await;
        let now = Arc::clone(&gateway.load());
        let looked_up = tokio::task::spawn_blocking(move || {
            let served = now.packages().iter();
            let served = served.filter_map(|package| package.registered.as_ref()?.pulled.as_ref());
            now.shared().loader.registry().has_news(served)
        });
        if looked_up.await.unwrap_or_default() {
            // The reload logs its own result.
            let _ = status.reload().await;
        }
    }
}

fn metrics() -> Result<Metrics, StartError> {
    Metrics::new().map_err(|error| machine(&error))
}

fn machine(error: &dyn fmt::Display) -> StartError {
    StartError::Machine(error.to_string())
}
