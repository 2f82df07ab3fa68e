//! The structures of the API's bodies, as they are parsed and forwarded: unknown members are not forwarded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// JSON as it was written: numbers keep their digits.
pub(crate) type Json = Box<RawValue>;

pub(crate) type Metadata = BTreeMap<String, String>;

/// One item of a save, or the request of a transaction's operation.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SaveItem {
    pub(crate) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub(crate) metadata: Metadata,
    #[serde(skip_serializing_if = "Options::is_default")]
    pub(crate) options: Options,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
}

/// The options of a write.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Options {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) concurrency: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) consistency: String,
}

impl Options {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `POST /v1.0/state/{store}/bulk`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct BulkGet {
    pub(crate) keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parallelism: Option<i64>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub(crate) metadata: Metadata,
}

/// `POST /v1.0/state/{store}/transaction`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Transaction {
    pub(crate) operations: Vec<Change>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub(crate) metadata: Metadata,
}

/// One operation of a transaction.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Change {
    pub(crate) operation: String,
    pub(crate) request: SaveItem,
}

/// `POST /v1.0-alpha1/state/{store}/query`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Query {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sort: Vec<Sorting>,
    pub(crate) page: Page,
}

/// By what a query sorts.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Sorting {
    pub(crate) key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) order: String,
}

/// The part of a query's results that is asked for.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Page {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) token: String,
}

/// One event of `POST /v1.0/publish/bulk/{pubsub}/{topic}`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BulkEntry {
    pub(crate) entry_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Json>,
    pub(crate) content_type: String,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub(crate) metadata: Metadata,
}

/// `POST /v1.0/bindings/{name}`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Binding {
    pub(crate) operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Json>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub(crate) metadata: Metadata,
}

/// `POST /v1.0-alpha1/lock/{store}` and `…/unlock/{store}`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Claim {
    pub(crate) resource_id: String,
    pub(crate) lock_owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expiry_in_seconds: Option<i32>,
}

/// `POST /v1.0/jobs/{name}`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Job {
    /// Stands in the path: the sidecar refuses it here.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeats: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<String>,
    /// Written as `null` where there is none: a job without the member never fires beside Dapr 1.18.
    pub(crate) data: Option<Json>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) overwrite: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure_policy: Option<FailurePolicy>,
}

/// The rule for an app that does not take a job.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct FailurePolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drop: Option<Drop>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) constant: Option<Constant>,
}

/// It is not tried again.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Drop {}

/// It is tried again after a pause.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Constant {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_retries: Option<u32>,
}
