//! From a checked configuration to a gateway that can handle requests.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use wasmgate_common::Code;

use super::{StartError, dapr, machine, system};
use crate::{
    config::{Config, Source},
    egress,
    engine::{self, EngineCollector, EngineLimits, Engines},
    gateway::Gateway,
    metrics::Metrics,
    package::{Budget, Loader, Package, Registered, Residents},
};

/// Registers every package and puts the gateway together, ready to handle requests.
///
/// # Errors
/// With every package that cannot be served.
pub fn load(config: Config, metrics: Arc<Metrics>) -> Result<Gateway, StartError> {
    let loader = loader(&config, &metrics)?;
    let collector = EngineCollector::new(Arc::clone(loader.engines())).map_err(|error| machine(&error))?;
    metrics
        .register(collector)
        .map_err(|error| machine(&error))?;
    let registered = register(&config, &loader)?;
    let blocks = dapr::open(&config).map_err(|error| {
        let mistake = config.at_key("dapr.data", dapr::diagnostic(Code::DataUnusable, &error));
        StartError::Data(config.diagnostics(vec![mistake]))
    })?;
    let residents = Residents::new(
        Budget::of_this_machine(config.server.loaded_code),
        metrics.evictions.clone(),
    );
    let outbound = egress::Settings::new(&config, system::descriptors()).map_err(|error| machine(&error))?;
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
        outbound,
        metrics,
    ))
}

/// Checks the component files, and compiles what is not compiled yet, as many packages at once as there are cores.
pub(super) fn register(config: &Config, loader: &Loader) -> Result<Vec<Registered>, StartError> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(config.packages.len()));
    let wrong = dapr::check(config).into_iter();
    let failed = wrong.map(|wrong| config.at_key("dapr.components", wrong));
    let failed = Mutex::new(failed.collect::<Vec<_>>());
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
                    match loader.register(path, package.engine, package.limits.memory) {
                        Ok(registered) => done.lock().push((index, registered)),
                        Err(error) => failed.lock().push(config.at_source(package, error.into())),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    if !failed.is_empty() {
        return Err(StartError::Packages(config.diagnostics(failed)));
    }
    let mut done = done.into_inner();
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, registered)| registered).collect())
}

pub(super) fn loader(config: &Config, metrics: &Arc<Metrics>) -> Result<Loader, StartError> {
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
    let engines = Engines::new(limits).map_err(|error| StartError::Machine(format!("{error:#}")))?;
    Loader::new(Arc::new(engines), &config.server.cache, Arc::clone(metrics)).map_err(|error| {
        let mistake = config.at_key("server.cache", error.into());
        StartError::Cache(config.diagnostics(vec![mistake]))
    })
}
