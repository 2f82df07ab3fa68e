//! Which operation of the Dapr API a call is, for metrics: told from method and path alone, and bounded.

use http::{Method, Request};

/// The header by which a call to any path is an invocation.
const APP_ID: &str = "dapr-app-id";

/// One operation of one building block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation(usize);

/// Building block and operation.
const NAMES: [(&str, &str); Operation::COUNT] = [
    ("state", "get"),
    ("state", "save"),
    ("state", "delete"),
    ("state", "bulk-get"),
    ("state", "transaction"),
    ("state", "query"),
    ("pubsub", "publish"),
    ("pubsub", "bulk-publish"),
    ("invoke", "invoke"),
    ("bindings", "invoke"),
    ("secrets", "get"),
    ("secrets", "bulk-get"),
    ("configuration", "get"),
    ("configuration", "subscribe"),
    ("configuration", "unsubscribe"),
    ("lock", "lock"),
    ("lock", "unlock"),
    ("jobs", "schedule"),
    ("jobs", "get"),
    ("jobs", "delete"),
    ("metadata", "get"),
    ("metadata", "set"),
    ("other", "other"),
];

/// The index of an invocation, and of what is none of the others.
const INVOKE: usize = 8;
const OTHER: usize = Operation::COUNT - 1;

impl Operation {
    /// How many there are.
    pub const COUNT: usize = 23;

    /// The operation that a request asks for, whether or not it is a right one.
    pub fn of<B>(request: &Request<B>) -> Self {
        if request.headers().contains_key(APP_ID) {
            return Self(INVOKE);
        }
        let mut segments = request.uri().path().split('/').filter(|s| !s.is_empty());
        let mut segment = || segments.next().unwrap_or_default();
        if !segment().starts_with("v1.0") {
            return Self(OTHER);
        }
        let (block, component, next, after) = (segment(), segment(), segment(), segment());
        let method = request.method();
        Self(match (block, next) {
            ("state", "") => 1,
            ("state", "bulk") => 3,
            ("state", "transaction") => 4,
            ("state", "query") => 5,
            ("state", _) if *method == Method::GET => 0,
            ("state", _) if *method == Method::DELETE => 2,
            ("state", _) => 1,
            ("publish", _) if component == "bulk" => 7,
            ("publish", _) => 6,
            ("invoke", _) => INVOKE,
            ("bindings", _) => 9,
            ("secrets", "bulk") => 11,
            ("secrets", _) => 10,
            ("configuration", "subscribe") => 13,
            ("configuration", _) if after == "unsubscribe" => 14,
            ("configuration", _) => 12,
            ("lock", _) => 15,
            ("unlock", _) => 16,
            ("jobs", _) if *method == Method::GET => 18,
            ("jobs", _) if *method == Method::DELETE => 19,
            ("jobs", _) => 17,
            ("metadata", _) if *method == Method::GET => 20,
            ("metadata", _) => 21,
            _ => OTHER,
        })
    }

    /// Its place among all.
    pub fn index(self) -> usize {
        self.0
    }

    /// The building block.
    pub fn block(self) -> &'static str {
        self.names().0
    }

    /// What is asked of the building block.
    pub fn name(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        NAMES.get(self.0).copied().unwrap_or(("other", "other"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(method: &str, path: &str) -> String {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap();
        let operation = Operation::of(&request);
        format!("{} {}", operation.block(), operation.name())
    }

    #[test]
    fn calls_are_told_apart_by_method_and_path() {
        for (method, path, name) in [
            ("GET", "/v1.0/state/s/k", "state get"),
            ("POST", "/v1.0/state/s", "state save"),
            ("DELETE", "/v1.0/state/s/k", "state delete"),
            ("POST", "/v1.0/state/s/bulk", "state bulk-get"),
            ("POST", "/v1.0/state/s/transaction", "state transaction"),
            ("POST", "/v1.0-alpha1/state/s/query", "state query"),
            (
                "POST",
                "/v1.0/publish/p/topic/with/slashes",
                "pubsub publish",
            ),
            ("POST", "/v1.0/publish/bulk/p/t", "pubsub bulk-publish"),
            ("POST", "/v1.0/invoke/app/method/x", "invoke invoke"),
            ("GET", "/v1.0/secrets/s/bulk", "secrets bulk-get"),
            ("GET", "/v1.0/configuration/c?key=a", "configuration get"),
            (
                "GET",
                "/v1.0/configuration/c/subscribe",
                "configuration subscribe",
            ),
            (
                "GET",
                "/v1.0/configuration/c/some-id/unsubscribe",
                "configuration unsubscribe",
            ),
            ("POST", "/v1.0-alpha1/lock/l", "lock lock"),
            ("POST", "/v1.0-alpha1/jobs/j", "jobs schedule"),
            ("DELETE", "/v1.0-alpha1/jobs/j", "jobs delete"),
            ("GET", "/anything", "other other"),
            ("GET", "/v1.0/no-such-block", "other other"),
        ] {
            assert_eq!(named(method, path), name, "{method} {path}");
        }
    }

    #[test]
    fn any_path_with_an_app_id_is_an_invocation() {
        let request = Request::get("/orders/1").header(APP_ID, "shop").body(());
        assert_eq!(Operation::of(&request.unwrap()).block(), "invoke");
    }
}
