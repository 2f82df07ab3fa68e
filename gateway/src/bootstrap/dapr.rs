//! Builds the building blocks from `[dapr]` and the packages' grants.

use wasmgate_common::Diagnostic;
use wasmgate_dapr::{
    BuildingBlocks, Dapr, OpenError, OutsideApp, Settings,
    sidecar::{SidecarSettings, Topology},
};

use super::unmet::{called, unmet};
use crate::config::{Config, DaprConfig, DaprMode};

/// Opens the building blocks if the configuration uses them.
pub(super) fn open(config: &Config) -> Result<Option<BuildingBlocks>, OpenError> {
    let dapr = &config.dapr;
    if !config.uses_building_blocks() {
        return Ok(None);
    }
    Ok(Some(match dapr.mode {
        DaprMode::Embedded => BuildingBlocks::open(embedded(config))?,
        DaprMode::Sidecar => BuildingBlocks::beside_sidecar(sidecar(dapr)),
    }))
}

/// The mistakes in component files that nothing uses yet.
pub(super) fn check_unused(config: &Config) -> Vec<Diagnostic> {
    let dapr = &config.dapr;
    if dapr.mode != DaprMode::Embedded || config.uses_building_blocks() {
        return Vec::new();
    }
    Dapr::check(&embedded(config)).map_or_else(Vec::from, |()| Vec::new())
}

/// The mistakes in the component files, without opening the data.
pub(super) fn check(config: &Config) -> Vec<Diagnostic> {
    let dapr = &config.dapr;
    if dapr.mode != DaprMode::Embedded || !config.uses_building_blocks() {
        return Vec::new();
    }
    Dapr::check(&embedded(config)).map_or_else(Vec::from, |()| Vec::new())
}

/// Warnings about grants and component files, a sentence each: grants that match nothing, and components that behave
/// differently beside a sidecar.
pub(super) fn caveats(config: &Config) -> Vec<String> {
    if !config.uses_building_blocks() {
        return Vec::new();
    }
    if config.dapr.mode == DaprMode::Sidecar {
        return unfound(&config.dapr).into_iter().collect();
    }
    let settings = embedded(config);
    let mut caveats = unmet(config, &settings);
    caveats.extend(called(config, &settings));
    caveats.extend(Dapr::caveats(&settings));
    caveats
}

/// A warning if a shared sidecar should deliver invocations of packages: for Dapr all packages are one app.
fn unfound(dapr: &DaprConfig) -> Option<String> {
    (!dapr.invoke_local && dapr.topology == Topology::Shared).then(|| {
        "dapr.invoke_local: a sidecar that all packages share finds none of them by its name, and each invocation of one by \
         another fails unless an app elsewhere has its name: remove the key, or give each package a gateway and a sidecar of its \
         own (`dedicated`)"
            .to_owned()
    })
}

/// Logs grants that match nothing, and mistakes in component files that nothing uses yet.
pub(super) fn warn(config: &Config) {
    for mistake in check_unused(config) {
        tracing::warn!(%mistake, "a component file is wrong, and no package has a `dapr` table yet");
    }
    if !config.uses_building_blocks() {
        return;
    }
    let sentences = match config.dapr.mode {
        DaprMode::Embedded => unmet(config, &embedded(config)),
        DaprMode::Sidecar => unfound(&config.dapr).into_iter().collect(),
    };
    for sentence in sentences {
        tracing::warn!("{sentence}");
    }
}

pub(super) fn embedded(config: &Config) -> Settings {
    let dapr = &config.dapr;
    let environment = dapr.environment.reveal().clone();
    Settings {
        data: dapr.data.clone(),
        components: dapr.components.clone(),
        substitute: dapr.substitute,
        api_token: dapr
            .api_token
            .as_ref()
            .map(|token| token.reveal().to_owned()),
        allowed_hosts: dapr.allowed_hosts.clone(),
        allowed_origins: dapr.allowed_origins.clone(),
        namespace: environment.get("NAMESPACE").cloned(),
        environment,
        secret_env: dapr.secret_env.clone(),
        quotas: dapr.quotas,
        own: config.own.clone(),
        outside: outside(dapr),
    }
}

/// The process that `[dapr] app_address` names.
fn outside(dapr: &DaprConfig) -> Option<OutsideApp> {
    let token = dapr.app_token.as_ref();
    Some(OutsideApp {
        app: dapr.app_id.clone(),
        address: dapr.app_address.clone()?,
        token: token.and_then(|token| token.reveal().parse().ok()),
    })
}

fn sidecar(dapr: &DaprConfig) -> SidecarSettings {
    SidecarSettings {
        api_token: dapr
            .api_token
            .as_ref()
            .map(|token| token.reveal().to_owned()),
        app_token: dapr
            .app_token
            .as_ref()
            .map(|token| token.reveal().to_owned()),
        topology: dapr.topology.clone(),
        invoke_remotely: !dapr.invoke_local,
        ..SidecarSettings::new(dapr.sidecar.clone())
    }
}
