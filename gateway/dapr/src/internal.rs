//! The paths by which the runtime calls apps. Nobody else may: whoever could would forge events and jobs.

use dashmap::DashMap;

use crate::{
    app::AppId,
    bindings::BindingKind,
    pubsub::subscription::Subscription,
    runtime::{Runtime, as_path},
};

/// The first segments of paths that are the runtime's in every app: subscriptions and events as the SDK routes them,
/// jobs, and configuration updates.
const PREFIXES: [&str; 3] = ["dapr", "job", "configuration"];

/// Each app's own delivery paths. Every public request asks, on every worker, so there is no one lock.
#[derive(Debug, Default)]
pub(crate) struct DeliveryPaths(DashMap<AppId, Vec<String>>);

impl DeliveryPaths {
    fn has(&self, app: &AppId, path: &str) -> bool {
        let path = path.trim_matches('/');
        self.0
            .get(app)
            .is_some_and(|paths| paths.iter().any(|own| own == path))
    }
}

impl Runtime {
    /// Whether `path` of `app` is for the runtime alone. Slashes around it do not count: the app may not mind them.
    pub(crate) fn is_internal(&self, app: &AppId, path: &str) -> bool {
        has_prefix(path) || self.delivery_paths.has(app, path)
    }

    /// Notes where the runtime will call `app`: for these subscriptions, and for the input bindings in its scope.
    pub(crate) fn note_delivery_paths(&self, app: &AppId, subscriptions: &[Subscription]) {
        let events = subscriptions
            .iter()
            .flat_map(Subscription::paths)
            .map(str::to_owned);
        let bindings = self.components.bindings.values();
        let bindings = bindings
            .filter(|binding| {
                matches!(binding.it.kind, BindingKind::Cron(_)) && binding.scopes.include(app)
            })
            .map(|binding| as_path(binding.it.route.as_ref().unwrap_or(&binding.name)));
        let paths = events
            .chain(bindings)
            .map(|path| path.trim_matches('/').to_owned());
        self.delivery_paths.0.insert(app.clone(), paths.collect());
    }
}

/// Whether a path is the runtime's in every app.
pub(crate) fn has_prefix(path: &str) -> bool {
    let first = path
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default();
    PREFIXES
        .iter()
        .any(|prefix| first.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_paths_are_internal_however_they_are_written() {
        for path in [
            "/dapr",
            "/dapr/subscribe",
            "//dapr/config",
            "/DAPR/x",
            "/job/refund",
            "/configuration/a/b",
        ] {
            assert!(has_prefix(path), "{path}");
        }
        for path in ["/", "/daprx", "/v1/dapr", "/jobs/1", "/hello"] {
            assert!(!has_prefix(path), "{path}");
        }
    }
}
