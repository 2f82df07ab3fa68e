//! Reload: reads, checks, compiles and builds the next gateway beside the serving one and swaps it in with one step, or
//! changes nothing.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::mpsc;
use wasmgate_common::Diagnostics;
use wasmgate_dapr::AppId;

use super::{
    StartError, dapr, load, machine, outdated::Outdated, progress::Show, register::Together, unmet::warn_of_unreached,
};
use crate::{
    account::Account,
    admin::{NotReloaded, Reloaded, Status, Wish},
    config::{Config, DaprMode, PackageConfig, Rejected},
    deliveries::Redirection,
    egress,
    gateway::{Current, Gateway, Shared},
    package::{Package, Registered},
    request_log,
    server::Tls,
};

/// Reloads a gateway, one request after the other.
pub(super) struct Reloader {
    /// The configuration that it was started with.
    pub(super) first: Arc<Config>,
    pub(super) current: Current,
    pub(super) redirection: Redirection,
    pub(super) status: Status,
    pub(super) tls: Option<Arc<Tls>>,
    /// When the gateway started.
    pub(super) started: SystemTime,
}

impl Reloader {
    /// Handles requests until their senders are dropped.
    pub(super) async fn run(self, mut wishes: mpsc::UnboundedReceiver<Wish>) {
        let mut private = self.first.server.outbound_private.clone();
        let mut outdated = Outdated::new(self.started);
        while let Some(wish) = wishes.recv().await {
            let ended = self.reload(&mut private, &mut outdated).await;
            self.status.reloaded(&ended);
            match &ended {
                Ok(reloaded) => tell(reloaded),
                Err(error) => {
                    tracing::error!(%error, "the configuration was not reloaded; what was served is served still")
                }
            }
            // The requester may be gone.
            let _ = wish.send(ended);
        }
    }

    async fn reload(&self, private: &mut Vec<ipnet::IpNet>, outdated: &mut Outdated) -> Result<Reloaded, NotReloaded> {
        let started = Instant::now();
        let (first, gateway) = (Arc::clone(&self.first), self.current.load_called());
        let were_private = private.clone();
        let prepared = tokio::task::spawn_blocking(move || Prepared::new(&first, &gateway, &were_private));
        let prepared = prepared
            .await
            .map_err(|error| NotReloaded::Machine(error.to_string()))??;
        if self.status.is_draining() {
            return Err(NotReloaded::Draining);
        }
        let settings = dapr::embedded(&prepared.config);
        let turned = self
            .redirection
            .turn_to(&prepared.gateway, settings, prepared.asked.clone());
        let untold = turned
            .await
            .map_err(|error| NotReloaded::Wrong(Diagnostics::new(&prepared.config.file, Vec::from(error))))?;
        if let (Some(tls), Some(shown)) = (&self.tls, &prepared.config.server.tls) {
            tls.turn_to(shown.clone())
                .map_err(|error| NotReloaded::Machine(error.to_string()))?;
        }
        dapr::warn(&prepared.config);
        warn_of_unreached(&prepared.gateway);
        let before = self.current.serve(Arc::clone(&prepared.gateway));
        *private = prepared.config.server.outbound_private.clone();
        self.status.replaced(&before, &prepared.gateway);
        for (before, package) in &prepared.succeeded {
            if let Some(registered) = &before.registered
                && !has_same_code(before, package)
            {
                outdated.add(before.name(), registered.clone(), &prepared.gateway);
            }
        }
        Ok(prepared.replace(&before, untold, started, self.first.server.drain_timeout))
    }
}

fn tell(reloaded: &Reloaded) {
    let Reloaded {
        added,
        changed,
        removed,
        packages,
        routes,
        needs_restart,
        milliseconds,
    } = reloaded;
    tracing::info!(
        ?added,
        ?changed,
        ?removed,
        packages,
        routes,
        milliseconds,
        "the configuration was reloaded"
    );
    if !needs_restart.is_empty() {
        tracing::warn!(
            ?needs_restart,
            "a part of the configuration holds from the next start on"
        );
    }
}

/// The next gateway.
struct Prepared {
    config: Config,
    gateway: Arc<Gateway>,
    /// The packages that have to report their subscriptions.
    asked: BTreeSet<AppId>,
    /// Packages that are unchanged or get another account, with their predecessors.
    succeeded: Vec<(Arc<Package>, Arc<Package>)>,
    /// The maximum number of instances of each package.
    shares: Vec<usize>,
    outbound: Option<egress::Prepared>,
    needs_restart: Vec<String>,
}

impl Prepared {
    /// Reads the configuration and builds its gateway beside the current one.
    fn new(first: &Config, now: &Gateway, private: &[ipnet::IpNet]) -> Result<Self, NotReloaded> {
        let shared = now.shared();
        let mut config = first
            .input
            .load_again()
            .map_err(|rejected| mistakes(rejected, now))?;
        let mut needs_restart = config.keep(first);
        let door = shared.loader.door();
        let registered = register(&config, now).map_err(not_reloaded)?;
        shared.loader.hold_too(registered.iter().flatten());
        drop(door);
        let mut shared = shared.clone();
        if shared.building_blocks.is_none() && config.uses_building_blocks() {
            match config.dapr.mode {
                DaprMode::Embedded => shared.building_blocks = load::open_blocks(&config).map_err(not_reloaded)?,
                // There is no listener for its callbacks.
                DaprMode::Sidecar => needs_restart.push("dapr.mode".to_owned()),
            }
        }
        let shares = load::shares(&config, &registered, shared.loader.engines());
        let same = |package: &PackageConfig| {
            let before = now.package(package.name.app_id());
            before.is_some_and(|before| before.account.config.is_same(package))
        };
        let is_same = config.packages.iter().all(same) && config.server.outbound_private == private;
        let outbound = (!is_same).then(|| shared.outbound.prepare(&config));
        let outbound = outbound
            .transpose()
            .map_err(|error| not_reloaded(machine(&error)))?;
        let (mut packages, mut asked, mut succeeded) = (Vec::new(), BTreeSet::new(), Vec::new());
        let listed = config.packages.iter().zip(registered).zip(&shares);
        for ((own, registered), share) in listed {
            let before = now.package(own.name.app_id());
            let package = succeed(before, own, registered, *share, &shared);
            if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, &package)) {
                succeeded.push((Arc::clone(before), Arc::clone(&package)));
            }
            if before.is_none_or(|before| !Arc::ptr_eq(before, &package)) {
                asked.insert(own.name.app_id().clone());
            }
            packages.push(package);
        }
        let gateway = Arc::new(Gateway::new(
            config.routes.clone(),
            packages,
            shared,
            Some(now),
        ));
        Ok(Self {
            config,
            gateway,
            asked,
            succeeded,
            shares,
            outbound,
            needs_restart,
        })
    }

    /// Releases what only the previous gateway used, once this one serves.
    fn replace(self, before: &Gateway, untold: Vec<String>, started: Instant, patience: Duration) -> Reloaded {
        let shared = self.gateway.shared();
        request_log::choose(self.config.log.requests);
        let packages = self.gateway.packages().iter();
        shared
            .loader
            .hold_only(packages.filter_map(|package| package.registered.as_ref()));
        shared.loader.registry().serve(&self.config.registry);
        if let Some(outbound) = self.outbound {
            shared.outbound.replace(outbound);
        }
        shared
            .loaded_packages
            .set_code_bytes(self.config.server.loaded_code);
        for (package, share) in self.gateway.packages().iter().zip(&self.shares) {
            package.account.hold_limits(*share);
        }
        let removed = before.packages().iter();
        let removed = removed.filter(|package| self.gateway.package(package.name().app_id()).is_none());
        let removed: Vec<_> = removed.cloned().collect();
        for (before, package) in &self.succeeded {
            if has_same_code(before, package) {
                shared.loaded_packages.succeed(before, package);
            } else {
                shared.loaded_packages.retire(before);
            }
        }
        removed
            .iter()
            .for_each(|package| shared.loaded_packages.retire(package));
        let gone = self
            .succeeded
            .iter()
            .map(|(before, _)| before)
            .chain(&removed);
        let accounts = gone
            .map(|package| Arc::downgrade(&package.account))
            .collect();
        tokio::spawn(cut(accounts, patience));
        let names = |packages: &[Arc<Package>]| {
            packages
                .iter()
                .map(|package| package.name().to_string())
                .collect()
        };
        let changed: Vec<_> = self
            .succeeded
            .iter()
            .map(|(before, _)| Arc::clone(before))
            .collect();
        let added = self.gateway.packages().iter();
        let added = added.filter(|package| before.package(package.name().app_id()).is_none());
        let mut needs_restart = self.needs_restart;
        needs_restart.extend(untold);
        Reloaded {
            added: names(&added.cloned().collect::<Vec<_>>()),
            changed: names(&changed),
            removed: names(&removed),
            packages: self.gateway.packages().len(),
            routes: self.gateway.routes().len(),
            needs_restart,
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Returns whether two packages have the same compiled code in the same engine, or none.
fn has_same_code(one: &Package, other: &Package) -> bool {
    let code = |package: &Package| {
        let registered = package.registered.as_ref()?;
        Some((registered.code.path().to_owned(), registered.choice.id()))
    };
    code(one) == code(other)
}

/// The package of a new configuration: the same object if it is unchanged.
fn succeed(
    before: Option<&Arc<Package>>,
    config: &PackageConfig,
    registered: Result<Registered, String>,
    share: usize,
    shared: &Shared,
) -> Arc<Package> {
    let is_same_code = before.is_some_and(|before| match (&before.registered, &registered) {
        (Some(before), Ok(now)) => {
            before.code == now.code && before.choice == now.choice && before.pulled == now.pulled
        }
        (None, Err(reason)) => before.unavailable().as_ref() == Some(reason),
        _ => false,
    });
    if let Some(before) = before
        && is_same_code
        && before.account.config.is_same(config)
    {
        return Arc::clone(before);
    }
    let account = match before {
        Some(before) => before.account.successor(config.clone()),
        None => Account::new(config.clone(), share, &shared.memory, &shared.metrics),
    };
    Arc::new(match registered {
        Ok(registered) => Package::new(account, registered),
        Err(reason) => Package::unfit(account, reason),
    })
}

/// Stops instances that still run on replaced packages, after the time-out.
async fn cut(accounts: Vec<Weak<Account>>, patience: Duration) {
    if accounts.is_empty() {
        return;
    }
    tokio::time::sleep(patience).await;
    for account in accounts.iter().filter_map(Weak::upgrade) {
        account.cut();
    }
}

/// As at the start, but registrations of unchanged packages are reused, and packages that are being served must stay
/// valid.
fn register(config: &Config, now: &Gateway) -> Result<Vec<Result<Registered, String>>, StartError> {
    let packages = Together::new(config, &now.shared().loader).behind(now);
    load::fit(config, packages, Show::Log)
}

fn mistakes(rejected: Rejected, now: &Gateway) -> NotReloaded {
    let Rejected {
        mut diagnostics,
        sound,
    } = rejected;
    if let Some(sound) = sound {
        let packages = Together::new(&sound, &now.shared().loader).behind(now);
        let looked = packages.with_files().look();
        if let Err(StartError::Packages(found)) = looked {
            diagnostics.merge(found);
        }
    }
    NotReloaded::Wrong(diagnostics)
}

fn not_reloaded(error: StartError) -> NotReloaded {
    match error {
        StartError::Packages(found)
        | StartError::Arguments(found)
        | StartError::Cache(found)
        | StartError::Listen(found)
        | StartError::Data(found) => NotReloaded::Wrong(found),
        StartError::Machine(reason) => NotReloaded::Machine(reason),
    }
}
