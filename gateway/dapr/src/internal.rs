//! The paths on which the runtime calls apps. Nobody else may call them, who could forge events and jobs.

use std::{borrow::Cow, collections::HashMap};

use arc_swap::ArcSwap;
use wasmgate_common::path::lenient;

use crate::app::AppId;

/// The first segments of paths that are the runtime's in every app: subscriptions and events as the SDK routes them,
/// jobs, and configuration updates.
const PREFIXES: [&str; 3] = ["dapr", "job", "configuration"];

/// Each app's own delivery paths. Every public request asks, on every worker, so reading takes no lock.
#[derive(Debug, Default)]
pub(crate) struct DeliveryPaths(ArcSwap<HashMap<AppId, Paths>>);

/// The paths of one app, normalized.
#[derive(Clone, Debug, Default)]
struct Paths {
    events: Vec<String>,
    bindings: Vec<String>,
}

impl DeliveryPaths {
    /// True if `path` of `app` is for the building blocks alone, however it is written.
    pub(crate) fn is_internal(&self, app: &AppId, path: &str) -> bool {
        let path = lenient(path);
        has_prefix(&path) || self.0.load().get(app).is_some_and(|paths| paths.has(&path))
    }

    /// Notes the paths of all subscriptions of `app`.
    pub(crate) fn note_events<'a>(&self, app: &AppId, paths: impl Iterator<Item = &'a str>) {
        let events: Vec<String> = paths.map(|path| path_of(path).into_owned()).collect();
        self.update(app, |paths| paths.events.clone_from(&events));
    }

    /// Notes the paths of all input bindings of `app`.
    pub(crate) fn note_bindings(&self, app: &AppId, paths: impl Iterator<Item = String>) {
        let bindings: Vec<String> = paths.map(|path| path_of(&path).into_owned()).collect();
        self.update(app, |paths| paths.bindings.clone_from(&bindings));
    }

    /// Forgets an app that is gone.
    pub(crate) fn forget(&self, app: &AppId) {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.remove(app);
            all
        });
    }

    fn update(&self, app: &AppId, change: impl Fn(&mut Paths)) {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            change(all.entry(app.clone()).or_default());
            all
        });
    }
}

impl Paths {
    fn has(&self, path: &str) -> bool {
        let mut all = self.events.iter().chain(&self.bindings);
        all.any(|own| *own == path)
    }
}

/// The [lenient] path of a route, whose query others may write as they like.
pub(crate) fn path_of(route: &str) -> Cow<'_, str> {
    lenient(route.split('?').next().unwrap_or_default())
}

/// True for a path that is Dapr's own in every app, even in one that has nothing to do with it: `/dapr/…`.
pub fn is_dapr_path(path: &str) -> bool {
    first_segment(&lenient(path)).eq_ignore_ascii_case("dapr")
}

/// True for a path by which the runtime calls every app that has a `dapr` table, however it is written.
pub fn is_runtime_path(path: &str) -> bool {
    has_prefix(&lenient(path))
}

/// True for a [lenient] path that is the runtime's in every app.
pub(crate) fn has_prefix(path: &str) -> bool {
    let first = first_segment(path);
    PREFIXES
        .iter()
        .any(|prefix| first.eq_ignore_ascii_case(prefix))
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
            assert!(has_prefix(&lenient(path)), "{path}");
        }
        for path in ["/", "/daprx", "/v1/dapr", "/jobs/1", "/hello", "/a%2Fjob"] {
            assert!(!has_prefix(&lenient(path)), "{path}");
        }
    }

    #[test]
    fn a_route_with_a_query_is_internal_with_any_query() {
        let (paths, app) = (DeliveryPaths::default(), AppId::new("shop").unwrap());
        paths.note_events(&app, ["/events/orders?kind=paid"].into_iter());
        paths.note_bindings(&app, ["/tick?every=minute".to_owned()].into_iter());
        for path in ["/events/orders", "/events/%6frders", "/tick"] {
            assert!(paths.is_internal(&app, path), "{path}");
        }
        assert!(!paths.is_internal(&app, "/events"));
    }

    #[test]
    fn a_path_is_dapr_s_own_or_not() {
        assert!(is_dapr_path("/%64apr/config") && is_dapr_path("//dapr"));
        assert!(!is_dapr_path("/job/x") && !is_dapr_path("/") && !is_dapr_path("/a.b/dapr"));
    }
}
