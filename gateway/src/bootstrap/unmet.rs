//! Grants that match nothing, and routes that are never reached: most often misspelled names.

use wasmgate_dapr::{Dapr, Outline, Settings};

use crate::{
    config::{Config, PackageConfig, nearest},
    gateway::Gateway,
};

/// A sentence for each name in a package's grants or in the component files that matches nothing, where the building
/// blocks are embedded.
pub(super) fn unmet(config: &Config, settings: &Settings) -> Vec<String> {
    let Some(outline) = Dapr::outline(settings) else {
        return Vec::new();
    };
    let names = config.packages.iter().map(|package| package.name.as_str());
    let apps: Vec<_> = names.chain([config.dapr.app_id.as_str()]).collect();
    let granted = config
        .packages
        .iter()
        .filter(|package| !package.grants.is_none());
    let mut found: Vec<_> = granted
        .flat_map(|package| of_package(package, &outline, &apps))
        .collect();
    found.extend(
        config
            .packages
            .iter()
            .flat_map(|package| of_interfaces(package, &outline)),
    );
    found.extend(outline.unmet(&apps));
    found
}

/// A sentence for each route whose only path is reserved by the component files.
pub(super) fn called(config: &Config, settings: &Settings) -> Vec<String> {
    let Some(outline) = Dapr::outline(settings) else {
        return Vec::new();
    };
    let called = config.routes.iter().filter_map(|route| {
        let package = config.packages.get(route.package())?;
        let (seen, is_whole) = route.seen();
        let is_called = is_whole && !package.grants.is_none() && {
            let app = package.name.app_id();
            outline.calls(app, &package.grants, &seen)
        };
        is_called.then(|| hidden(route.pattern(), package.name.as_str()))
    });
    called.collect()
}

/// Logs the routes that are unreachable, once the packages have reported their subscriptions.
pub(super) fn warn_of_unreached(gateway: &Gateway) {
    for route in gateway.routes() {
        let (seen, is_whole) = route.seen();
        if let Some(package) = gateway.packages().get(route.package())
            && is_whole
            && gateway.is_internal(&package.account, &seen)
        {
            tracing::warn!("{}", hidden(route.pattern(), package.name().as_str()));
        }
    }
}

fn hidden(route: &str, package: &str) -> String {
    format!(
        "no request reaches the route {route}: by its path events or bindings come to package {package}, and nobody else \
         may send them; give one of the two another path"
    )
}

fn of_package(package: &PackageConfig, outline: &Outline, apps: &[&str]) -> Vec<String> {
    let components = outline.components(package.name.app_id());
    let mut found = Vec::new();
    for (key, glob, grants) in package.grants.singly() {
        let opens = |(kind, name, _): &&(&str, &str, bool)| grants.sees_component(kind, name);
        let mut opened = components.iter().filter(opens).peekable();
        let reason = if glob.is_everything() {
            continue;
        } else if key == "invoke" {
            if apps.iter().any(|app| grants.allows_invoke(app)) {
                continue;
            }
            format!(
                "no package has this name{}",
                meant(glob.as_str(), apps.iter().copied())
            )
        } else if opened.peek().is_none() {
            let of_block = components.iter().filter(|(kind, ..)| is_of(key, kind));
            let name = glob.as_str().split('/').next().unwrap_or_default();
            let near = meant(name, of_block.map(|(_, name, _)| *name));
            format!("no {} has this name{near}", block(key))
        } else if opened.all(|(.., is_in_scope)| !is_in_scope) {
            format!("the scopes of the {} do not name the package", block(key))
        } else {
            continue;
        };
        let (package, name) = (&package.name, glob.as_str());
        found.push(format!(
            "package {package}: {key} = [{name:?}] in its `dapr` opens nothing: {reason}"
        ));
    }
    found
}

/// A sentence for each missing store that a package uses by another interface than the Dapr API.
fn of_interfaces(package: &PackageConfig, outline: &Outline) -> Vec<String> {
    let buckets = package.keyvalue.buckets();
    let buckets = buckets.map(|(bucket, place)| {
        let store = place.store.as_str();
        let written = format!("{bucket} = {store:?} in its `keyvalue`");
        ("state", store, written)
    });
    let config = package.config.iter().map(|config| {
        let store = config.store.as_str();
        ("configuration", store, format!("config = {store:?}"))
    });
    let components = outline.components(package.name.app_id());
    let unmet = buckets.chain(config).filter_map(|(key, store, written)| {
        let stores = || components.iter().filter(|(kind, ..)| is_of(key, kind));
        let reason = match stores().find(|(_, name, _)| *name == store) {
            None => {
                let near = meant(store, stores().map(|(_, name, _)| *name));
                format!("no {} has this name{near}", block(key))
            }
            Some((.., false)) => format!("the scopes of the {} do not name the package", block(key)),
            Some((.., true)) => return None,
        };
        Some(format!(
            "package {}: {written} opens nothing: {reason}",
            package.name
        ))
    });
    unmet.collect()
}

fn meant<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(wrong, names).map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}

/// Returns whether the grants under `key` are for components of type `kind`.
fn is_of(key: &str, kind: &str) -> bool {
    let block = match key {
        "publish" | "subscribe" => "pubsub",
        "secrets" => "secretstores",
        other => other,
    };
    kind.split('.').next() == Some(block)
}

/// The components that grants under `key` are for.
fn block(key: &str) -> &'static str {
    match key {
        "state" => "state store",
        "publish" | "subscribe" => "pub/sub component",
        "bindings" => "binding",
        "secrets" => "secret store",
        "configuration" => "configuration store",
        "lock" => "lock store",
        _ => "component",
    }
}
