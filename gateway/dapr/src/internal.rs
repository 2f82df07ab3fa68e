//! The paths by which the runtime calls apps. Nobody else may: whoever could would forge events and jobs.

use std::{borrow::Cow, collections::HashMap};

use arc_swap::ArcSwap;
use percent_encoding::percent_decode_str;

use crate::{
    app::AppId, protocol::path::as_path, providers::bindings::BindingKind, runtime::Runtime, subscription::Subscription,
};

/// The first segments of paths that are the runtime's in every app: subscriptions and events as the SDK routes them,
/// jobs, and configuration updates.
const PREFIXES: [&str; 3] = ["dapr", "job", "configuration"];

/// Each app's own delivery paths. Every public request asks, on every worker, so reading takes no lock.
#[derive(Debug, Default)]
pub(crate) struct DeliveryPaths(ArcSwap<HashMap<AppId, Vec<String>>>);

impl DeliveryPaths {
    fn has(&self, app: &AppId, path: &str) -> bool {
        let all = self.0.load();
        let paths = all.get(app);
        paths.is_some_and(|paths| paths.iter().any(|own| *own == path))
    }
}

impl Runtime {
    /// Whether `path` of `app` is for the runtime alone, however it is written.
    pub(crate) fn is_internal(&self, app: &AppId, path: &str) -> bool {
        let path = plain(path);
        has_prefix(&path) || self.delivery_paths.has(app, &path)
    }

    /// Notes where the runtime will call `app`: for these subscriptions, and for the input bindings in its scope.
    pub(crate) fn note_delivery_paths(&self, app: &AppId, subscriptions: &[Subscription]) {
        let events = subscriptions
            .iter()
            .flat_map(Subscription::paths)
            .map(str::to_owned);
        let bindings = self.components.bindings.values();
        let bindings = bindings
            .filter(|binding| matches!(binding.it.kind, BindingKind::Cron(_)) && binding.scopes.include(app))
            .map(|binding| as_path(binding.it.route.as_ref().unwrap_or(&binding.name)));
        let paths = events.chain(bindings).map(|path| plain(&path).into_owned());
        let paths: Vec<String> = paths.collect();
        self.delivery_paths.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.insert(app.clone(), paths.clone());
            all
        });
    }
}

/// Whether a path is Dapr's own in every app, even in one that has nothing to do with it: `/dapr/…`.
pub fn is_dapr_path(path: &str) -> bool {
    first_segment(&plain(path)).eq_ignore_ascii_case("dapr")
}

/// Whether a [`plain`] path is the runtime's in every app.
pub(crate) fn has_prefix(path: &str) -> bool {
    let first = first_segment(path);
    PREFIXES
        .iter()
        .any(|prefix| first.eq_ignore_ascii_case(prefix))
}

/// A path as the most lenient app reads it: decoded, and without empty, `.` and `..` segments or slashes around it.
pub(crate) fn plain(path: &str) -> Cow<'_, str> {
    let bare = path.trim_matches('/');
    let has_dots = bare.starts_with('.') || bare.contains("/.");
    if !has_dots && !bare.contains('%') && !bare.contains("//") {
        return Cow::Borrowed(bare);
    }
    let decoded = percent_decode_str(bare).decode_utf8_lossy();
    let mut kept: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    Cow::Owned(kept.join("/"))
}

fn first_segment(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
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
            "/%64apr/x",
            "/dapr%2Fsubscribe",
            "/%2Fdapr/subscribe",
            "/a%2F..%2Fdapr",
            "/job/refund",
            "/./job/refund",
            "/configuration/a/b",
        ] {
            assert!(has_prefix(&plain(path)), "{path}");
        }
        for path in ["/", "/daprx", "/v1/dapr", "/jobs/1", "/hello", "/a%2Fjob"] {
            assert!(!has_prefix(&plain(path)), "{path}");
        }
    }

    #[test]
    fn a_path_is_dapr_s_own_or_not() {
        assert!(is_dapr_path("/%64apr/config") && is_dapr_path("//dapr"));
        assert!(!is_dapr_path("/job/x") && !is_dapr_path("/") && !is_dapr_path("/a.b/dapr"));
    }
}
