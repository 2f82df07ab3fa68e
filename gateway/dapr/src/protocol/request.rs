//! A request of the API, parsed once, and the names of operations in metrics.

use axum::body::Body;
use http::{Request, request::Parts};

use super::operation::Operation;
use crate::error::ApiError;

/// A request of the Dapr API whose operation has been parsed: metrics name it, grants are checked
/// and the answer is made by the same reading.
#[derive(Debug)]
pub struct ApiRequest {
    parts: Parts,
    body: Body,
    operation: Result<Operation, ApiError>,
}

impl ApiRequest {
    /// Parses the operation from method, path, query and headers; the body is left unread. A
    /// request that asks for no operation gets its error as the answer.
    pub fn parse(request: Request<Body>) -> Self {
        let (parts, body) = request.into_parts();
        let operation = Operation::parse(&parts);
        Self {
            parts,
            body,
            operation,
        }
    }

    /// The operation that is asked for, as metrics name it.
    pub fn operation(&self) -> OperationName {
        let named = self.operation.as_ref();
        named.map_or(OperationName::OTHER, OperationName::from)
    }

    pub(crate) fn into_parts(self) -> Result<(Operation, Parts, Body), ApiError> {
        Ok((self.operation?, self.parts, self.body))
    }
}

/// The name of an operation in metrics: one of [`OperationName::COUNT`] pairs of building block and
/// operation, so that labels stay few whatever is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationName(usize);

/// Building block and operation.
const NAMES: [(&str, &str); OperationName::COUNT] = [
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
    ("state", "list-keys"),
    ("other", "other"),
];

impl OperationName {
    /// The number of names.
    pub const COUNT: usize = 24;

    /// A listing of keys, for which there is no request.
    pub const LIST_STATE_KEYS: Self = Self(Self::COUNT - 2);

    /// A health check, or a request that asks for no operation.
    const OTHER: Self = Self(Self::COUNT - 1);

    /// Its place among all names, below [`OperationName::COUNT`].
    pub fn index(self) -> usize {
        self.0
    }

    /// The building block.
    pub fn block(self) -> &'static str {
        self.names().0
    }

    /// The operation of the building block.
    pub fn name(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        NAMES.get(self.0).copied().unwrap_or(("other", "other"))
    }
}

impl From<&Operation> for OperationName {
    fn from(operation: &Operation) -> Self {
        Self(match operation {
            Operation::GetState { .. } => 0,
            Operation::SaveState { .. } => 1,
            Operation::DeleteState { .. } => 2,
            Operation::BulkGetState { .. } => 3,
            Operation::Transact { .. } => 4,
            Operation::QueryState { .. } => 5,
            Operation::Publish { .. } => 6,
            Operation::BulkPublish { .. } => 7,
            Operation::Invoke { .. } => 8,
            Operation::Bind { .. } => 9,
            Operation::GetSecret { .. } => 10,
            Operation::BulkSecrets { .. } => 11,
            Operation::GetConfiguration { .. } => 12,
            Operation::SubscribeConfiguration { .. } => 13,
            Operation::UnsubscribeConfiguration { .. } => 14,
            Operation::Lock { .. } => 15,
            Operation::Unlock { .. } => 16,
            Operation::ScheduleJob { .. } => 17,
            Operation::GetJob { .. } => 18,
            Operation::DeleteJob { .. } => 19,
            Operation::GetMetadata => 20,
            Operation::SetMetadata { .. } => 21,
            Operation::Health { .. } => return Self::OTHER,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(method: &str, path: &str) -> String {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        let operation = ApiRequest::parse(request).operation();
        format!("{} {}", operation.block(), operation.name())
    }

    #[test]
    fn requests_are_named_by_the_operation_that_they_ask_for() {
        for (method, path, name) in [
            ("GET", "/v1.0/state/s/k", "state get"),
            ("POST", "/v1.0/state/s", "state save"),
            ("PUT", "/v1.0/state/s", "state save"),
            ("DELETE", "/v1.0/state/s/k", "state delete"),
            ("POST", "/v1.0/state/s/bulk", "state bulk-get"),
            ("POST", "/v1.0/state/s/transaction", "state transaction"),
            ("POST", "/v1.0-alpha1/state/s/query", "state query"),
            ("POST", "/v1.0/publish/p/a/topic", "pubsub publish"),
            ("POST", "/v1.0/publish/bulk/p/t", "pubsub bulk-publish"),
            ("POST", "/v1.0/invoke/app/method/x", "invoke invoke"),
            ("POST", "/v1.0/bindings/b", "bindings invoke"),
            ("GET", "/v1.0/secrets/s/k", "secrets get"),
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
            ("POST", "/v1.0-alpha1/unlock/l", "lock unlock"),
            ("POST", "/v1.0-alpha1/jobs/j", "jobs schedule"),
            ("GET", "/v1.0-alpha1/jobs/j", "jobs get"),
            ("DELETE", "/v1.0-alpha1/jobs/j", "jobs delete"),
            ("GET", "/v1.0/metadata", "metadata get"),
            ("PUT", "/v1.0/metadata/k", "metadata set"),
            ("GET", "/v1.0/healthz", "other other"),
            ("GET", "/anything", "other other"),
            ("GET", "/v1.0/no-such-block", "other other"),
        ] {
            assert_eq!(named(method, path), name, "{method} {path}");
        }
    }

    #[test]
    fn any_path_with_an_app_id_is_an_invocation() {
        let request = Request::get("/orders/1").header("dapr-app-id", "shop");
        let request = ApiRequest::parse(request.body(Body::empty()).unwrap());
        assert_eq!(request.operation().block(), "invoke");
    }
}
