//! Builds a gateway that can handle requests from a checked configuration.

use std::sync::Arc;

use rayon::ThreadPoolBuilder;
use wasmgate_dapr::{BuildingBlocks, OpenError};

use super::{StartError, dapr, machine, memory_limit, metrics, progress::Show, register::Together, system, wait};
use crate::{
    account::Account,
    config::Config,
    egress,
    engine::{self, EngineCollector, EngineId, EngineKind, EngineLimits, Engines},
    gateway::{Gateway, Shared},
    machine_memory::{MachineMemory, MemoryCollector},
    metrics::Metrics,
    package::{Budget, CompileLimits, LoadedPackages, Loader, Package, Registered},
    request_log,
    unsent::UnsentCollector,
};

/// Registers all packages and builds a gateway that can handle requests, with metrics of its own.
///
/// # Errors
/// With every package that cannot be served.
pub fn load(config: Config) -> Result<Gateway, StartError> {
    load_with(config, Arc::new(metrics()?), |_| {})
}

/// The same with existing metrics; `waits` is called with what the load waits for, if it does.
pub(super) fn load_with(
    config: Config,
    metrics: Arc<Metrics>,
    waits: impl Fn(Option<String>),
) -> Result<Gateway, StartError> {
    request_log::choose(config.log.requests);
    let loader = loader(&config, &metrics)?;
    let collector = EngineCollector::new(Arc::clone(loader.engines())).map_err(|error| machine(&error))?;
    metrics
        .register(collector)
        .map_err(|error| machine(&error))?;
    let door = loader.door();
    let registered = fit(
        &config,
        Together::new(&config, &loader).not_strictly(),
        Show::at_start(),
    )?;
    loader.hold_too(registered.iter().flatten());
    drop(door);
    dapr::warn(&config);
    let blocks = wait::until_free(config.dapr.data_wait, waits, || dapr::open(&config));
    let blocks = blocks.map_err(|error| unopened(&config, error))?;
    let loaded_packages = LoadedPackages::new(
        Budget::from_system(config.server.loaded_code),
        metrics.evictions.clone(),
    );
    let outbound = egress::Settings::new(&config, system::descriptors()).map_err(|error| machine(&error))?;
    let memory = MachineMemory::new(config.server.memory.unwrap_or_else(memory_limit::memory));
    memory.watch().map_err(|error| machine(&error))?;
    let collector = MemoryCollector::new(Arc::clone(&memory)).map_err(|error| machine(&error))?;
    metrics
        .register(collector)
        .map_err(|error| machine(&error))?;
    let collector = UnsentCollector::new().map_err(|error| machine(&error))?;
    metrics
        .register(collector)
        .map_err(|error| machine(&error))?;
    let shares = shares(&config, &registered, loader.engines());
    let packages = config.packages.into_iter().zip(registered).zip(shares);
    let packages = packages
        .map(|((package, registered), share)| {
            let account = Account::new(package, share, &memory, &metrics);
            Arc::new(match registered {
                Ok(registered) => Package::new(account, registered),
                Err(reason) => Package::unfit(account, reason),
            })
        })
        .collect();
    loader.registry().serve(&config.registry);
    let shared = Shared {
        loader: Arc::new(loader),
        loaded_packages: Arc::new(loaded_packages),
        building_blocks: blocks,
        outbound,
        memory,
        metrics,
    };
    Ok(Gateway::new(config.routes, packages, shared, None))
}

/// Registers packages and checks the component files. Unless strict, a package that cannot be served is represented by
/// its error.
///
/// # Errors
/// With all mistakes, if one of them is fatal.
pub(super) fn fit(
    config: &Config,
    packages: Together<'_>,
    show: Show,
) -> Result<Vec<Result<Registered, String>>, StartError> {
    let each = packages.with_files().register(show)?;
    let fit = config.packages.iter().zip(each);
    let fit = fit.map(|(package, registered)| {
        for sentence in registered.iter().flat_map(|it| it.closed(package)) {
            tracing::warn!("{sentence}");
        }
        registered.map_err(|mistake| {
            tracing::error!(package = %package.name, error = mistake.message, help = mistake.help,
                "the package cannot be served, and the others are");
            mistake.message
        })
    });
    Ok(fit.collect())
}

/// Opens the building blocks if the configuration uses them.
pub(super) fn open_blocks(config: &Config) -> Result<Option<BuildingBlocks>, StartError> {
    dapr::open(config).map_err(|error| unopened(config, error))
}

fn unopened(config: &Config, error: OpenError) -> StartError {
    let mistakes = Vec::from(error).into_iter();
    let mistakes = mistakes.map(|mistake| config.at_key("dapr.data", mistake));
    StartError::Data(config.diagnostics(mistakes.collect()))
}

/// Returns whether two engines share slots: the pool is shared by all, and commands use the engine of proxies.
fn shares_slots(one: EngineId, other: EngineId) -> bool {
    let is_one = one.stack == other.stack && one.world.is_concurrent() == other.world.is_concurrent();
    one.kind == other.kind && (one.kind == EngineKind::Pool || is_one)
}

/// One engine of each group that shares slots.
fn shelves(registered: &[Result<Registered, String>]) -> Vec<EngineId> {
    let mut shelves = Vec::<EngineId>::new();
    for registered in registered.iter().flatten() {
        let id = registered.choice.id();
        if !shelves.iter().any(|shelf| shares_slots(*shelf, id)) {
            shelves.push(id);
        }
    }
    shelves
}

/// The maximum number of instances of each package: its `concurrency`, or less if the engine has too few slots for all.
pub(super) fn shares(config: &Config, registered: &[Result<Registered, String>], engines: &Engines) -> Vec<usize> {
    let concurrency = config
        .packages
        .iter()
        .map(|package| package.limits.concurrency);
    let mut shares: Vec<_> = concurrency.collect();
    for shelf in shelves(registered) {
        let own = |(at, registered): (usize, &Result<Registered, String>)| {
            let registered = registered.as_ref().ok()?;
            let wanted = config.packages.get(at)?.limits.concurrency;
            let is_here = shares_slots(registered.choice.id(), shelf);
            is_here.then_some((at, (registered.slots, wanted)))
        };
        let (places, wanted): (Vec<_>, Vec<_>) = registered.iter().enumerate().filter_map(own).unzip();
        for (at, share) in places
            .into_iter()
            .zip(engine::shares(engines.slots(shelf), &wanted))
        {
            let (Some(place), Some(package)) = (shares.get_mut(at), config.packages.get(at)) else {
                continue;
            };
            if share < *place {
                tracing::warn!(package = %package.name, concurrency = *place, instances = share, engine = shelf.kind.name(),
                    "the package may have fewer instances than its `concurrency`: it would leave the others no slots");
            }
            *place = share;
        }
    }
    shares
}

/// The fraction of `server.memory` that idle memory slots may keep: what is kept for one package's next request is not
/// available to others.
const IDLE_PART: u64 = 16;

pub(super) fn loader(config: &Config, metrics: &Arc<Metrics>) -> Result<Loader, StartError> {
    let wanted: usize = config
        .packages
        .iter()
        .map(|package| package.limits.concurrency)
        .sum();
    let memory = config.server.memory.unwrap_or_else(memory_limit::memory);
    let idle = memory / IDLE_PART / config.server.workers.max(1) as u64;
    let limits = EngineLimits {
        idle_bytes: usize::try_from(idle).unwrap_or(usize::MAX),
        instances: u32::try_from(wanted)
            .unwrap_or(u32::MAX)
            .clamp(engine::EXPECTED_INSTANCES, engine::MAX_INSTANCES),
    };
    let engines = Engines::new(limits).map_err(|error| StartError::Machine(format!("{error:#}")))?;
    // Kept: lost code is compiled on it too, and so are the functions of one component.
    let threads = ThreadPoolBuilder::new()
        .thread_name(|index| format!("compile-{index}"))
        .build()
        .map_err(|error| machine(&error))?;
    let limits = CompileLimits::new(&config.server, threads.current_num_threads(), memory);
    Loader::new(
        Arc::new(engines),
        threads,
        &config.server.cache,
        limits,
        Arc::clone(metrics),
    )
    .map_err(|error| {
        let mistake = config.at_key("server.cache", error.into());
        StartError::Cache(config.diagnostics(vec![mistake]))
    })
}
