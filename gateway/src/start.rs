//! From a checked configuration to a gateway that serves, and to its orderly end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};

use crate::admin::metrics::Metrics;
use crate::admin::pool::PoolCollector;
use crate::admin::{self, Status};
use crate::blocks::Blocks;
use crate::config::{Config, Report, Source};
use crate::egress::Client;
use crate::engine::{self, EngineLimits, Engines};
use crate::gateway::Gateway;
use crate::package::{Budget, Loader, Package, Registered, Residents};
use crate::server::{self, Listeners, Workers};

/// How long a memory slot may be idle before its memory goes back: long enough for the next request of a package
/// that is used at all.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Packages that cannot be served, all of them.
    #[error("{0}")]
    Packages(Report),
    /// The cache directory cannot be used.
    #[error("{0}")]
    Cache(Report),
    /// An address cannot be listened on.
    #[error("{0}")]
    Listen(Report),
    /// The building blocks' data or component files cannot be used.
    #[error("{0}")]
    Blocks(String),
    /// The machine does not give what the gateway needs.
    #[error("the gateway cannot start: {0}")]
    Machine(String),
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything in flight was finished, or the drain time-out passed.
    Drained,
    /// A second signal asked for an immediate end.
    Forced,
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

/// Compiles and checks every package without listening, in the order of the configuration.
///
/// # Errors
/// With every package that cannot be served.
pub fn check(config: &Config) -> Result<Vec<Registered>, StartError> {
    let metrics = Arc::new(metrics()?);
    register(config, &loader(config, &metrics)?)
}

/// Adds to a report on a configuration what is wrong with the packages that it found nothing wrong with.
pub fn complete(mut report: Report) -> Report {
    if let Some(sound) = report.take_sound()
        && let Err(StartError::Packages(found)) = check(&sound)
    {
        report.merge(found);
    }
    report
}

/// Serves until SIGTERM or Ctrl-C; `ready` is called once, when requests are taken.
///
/// # Errors
/// When something needed is not there; nothing has been served then.
pub fn up(config: Config, ready: impl FnOnce(Addresses)) -> Result<Ended, StartError> {
    raise_descriptor_limit();
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
        let mistake = config.mistake(key, server::refused(address, &error));
        StartError::Listen(config.report(vec![mistake]))
    };
    let listeners = Listeners::bind(listen, config.server.workers)
        .map_err(|error| cannot_listen("server.listen", listen, error))?;
    let admin = TcpListener::bind(admin)
        .await
        .map_err(|error| cannot_listen("server.admin", admin, error))?;
    let metrics = Arc::new(metrics()?);
    let status = Status::new(Arc::clone(&metrics));
    let addresses = Addresses {
        listen: listeners.address,
        admin: admin.local_addr().map_err(|error| machine(&error))?,
        dapr: None,
    };
    let admin = axum::serve(admin, admin::router(status.clone()));
    tokio::spawn(admin.into_future());
    let dapr = config.dapr.clone();
    let dapr_listener = match dapr.listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|error| cannot_listen("dapr.listen", address, error))?,
        ),
        None => None,
    };

    let server = config.server.clone();
    let loading = tokio::task::spawn_blocking(move || load(config, metrics));
    let gateway = tokio::select! {
        loaded = loading => Arc::new(loaded.map_err(|error| machine(&error))??),
        () = signals.next() => return Ok(Ended::Forced),
    };
    tokio::spawn(trim(Arc::clone(&gateway)));
    let deliveries = deliveries(server.workers)?;
    start_blocks(&gateway, deliveries.handle()).await?;
    let dapr_address = dapr_listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());
    if let (Some(listener), Some(blocks)) = (dapr_listener, gateway.blocks()) {
        let router = blocks.router(&dapr).map_err(|error| machine(&error))?;
        tokio::spawn(axum::serve(listener, router).into_future());
    }
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
        workers.drain().await;
        if let Some(blocks) = gateway.blocks() {
            blocks.stop().await;
        }
    };
    let ended = tokio::select! {
        () = drained => Ended::Drained,
        () = signals.next() => Ended::Forced,
    };
    deliveries.shutdown_background();
    Ok(ended)
}

/// The runtime that packages handle events, jobs and bindings on: beside the workers, so that a flood of events takes
/// turns with requests instead of standing in front of them.
fn deliveries(threads: usize) -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("delivery")
        .enable_all()
        .build()
        .map_err(|error| machine(&error))
}

/// Starts the building blocks if there are any, on the runtime of `deliveries`.
async fn start_blocks(gateway: &Arc<Gateway>, deliveries: &Handle) -> Result<(), StartError> {
    let Some(blocks) = gateway.blocks().cloned() else {
        return Ok(());
    };
    let client = Client::new().map_err(|error| machine(&error))?;
    let gateway = Arc::clone(gateway);
    let started = deliveries.spawn(async move { blocks.start(&gateway, client).await });
    started.await.map_err(|error| machine(&error))
}

/// Gives memory of idle slots back, so that a burst does not keep what it took.
async fn trim(gateway: Arc<Gateway>) {
    let mut interval = tokio::time::interval(TRIM_INTERVAL);
    loop {
        interval.tick().await;
        gateway.pool().trim();
    }
}

/// Registers every package and puts the gateway together, ready to handle requests.
///
/// # Errors
/// With every package that cannot be served.
pub fn load(config: Config, metrics: Arc<Metrics>) -> Result<Gateway, StartError> {
    let loader = loader(&config, &metrics)?;
    let collector =
        PoolCollector::new(loader.engines().pool().clone()).map_err(|error| machine(&error))?;
    metrics
        .register(collector)
        .map_err(|error| machine(&error))?;
    let registered = register(&config, &loader)?;
    let blocks = Blocks::open(&config).map_err(|error| StartError::Blocks(error.to_string()))?;
    let residents = Residents::new(Budget::of_this_machine(config.server.loaded_code));
    let packages = config
        .packages
        .into_iter()
        .zip(registered)
        .map(|(package, registered)| Package::new(package, registered, &metrics).map(Arc::new))
        .collect::<Result<_, _>>()
        .map_err(|error| machine(&error))?;
    Ok(Gateway::new(
        config.routes,
        packages,
        loader,
        residents,
        blocks,
        metrics,
    ))
}

/// Compiles what is not compiled yet, as many packages at once as there are cores.
fn register(config: &Config, loader: &Loader) -> Result<Vec<Registered>, StartError> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(config.packages.len()));
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(package) = config.packages.get(index) else {
                        break;
                    };
                    let Source::File(path) = &package.source;
                    match loader.register(path, package.engine) {
                        Ok(registered) => done.lock().push((index, registered)),
                        Err(error) => failed
                            .lock()
                            .push(config.source_mistake(package, error.into())),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    if !failed.is_empty() {
        return Err(StartError::Packages(config.report(failed)));
    }
    let mut done = done.into_inner();
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, registered)| registered).collect())
}

fn metrics() -> Result<Metrics, StartError> {
    Metrics::new().map_err(|error| machine(&error))
}

fn loader(config: &Config, metrics: &Arc<Metrics>) -> Result<Loader, StartError> {
    let wanted: usize = config
        .packages
        .iter()
        .map(|package| package.limits.concurrency)
        .sum();
    let memory = config
        .packages
        .iter()
        .map(|package| package.limits.memory)
        .max()
        .unwrap_or_default();
    let limits = EngineLimits {
        instances: u32::try_from(wanted)
            .unwrap_or(u32::MAX)
            .clamp(1, engine::MAX_INSTANCES),
        memory: usize::try_from(memory).unwrap_or(usize::MAX),
    };
    let engines =
        Engines::new(limits).map_err(|error| StartError::Machine(format!("{error:#}")))?;
    Loader::new(engines, &config.server.cache, Arc::clone(metrics)).map_err(|error| {
        let mistake = config.mistake("server.cache", error.into());
        StartError::Cache(config.report(vec![mistake]))
    })
}

fn machine(error: &dyn fmt::Display) -> StartError {
    StartError::Machine(error.to_string())
}

/// Takes as many descriptors as the administrator allows: connections and loaded packages need one each, and the soft
/// limit is for programs that still use `select`.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    ) {
        tracing::warn!(%error, "the limit on descriptors stays as it is");
    }
}

/// SIGTERM and Ctrl-C, one after the other.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
