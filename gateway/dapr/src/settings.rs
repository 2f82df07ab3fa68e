//! Settings by the embedding program: the runtime itself reads no environment.

use std::{collections::BTreeMap, path::PathBuf};

use http::{HeaderValue, uri::Authority};

use wasmgate_common::{AppId, OwnPlaces};

use crate::{grants::Globs, quotas::Quotas};

/// Settings of the embedded runtime.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The folder that holds the database. It is created if missing, and one process at a time
    /// may hold it.
    pub data: PathBuf,
    /// A folder of Dapr resource YAML. Without one there are `statestore`, `pubsub`,
    /// `secretstore`, `configstore` and `lockstore`.
    pub components: Option<PathBuf>,
    /// Serve `state.*`, `pubsub.*`, `lock.*` and `configuration.*` of any type by the embedded
    /// kind of the same block, instead of refusing types that are not embedded.
    pub substitute: bool,
    /// The token that callers over TCP must send as `dapr-api-token`.
    pub api_token: Option<String>,
    /// Without a token: the hosts by which the API may be called over TCP beside this machine's
    /// own, each with or without a port.
    pub allowed_hosts: Vec<String>,
    /// Without a token: the origins of pages in a browser that may call the API over TCP.
    pub allowed_origins: Vec<String>,
    /// The environment that `envRef` and `secretKeyRef` of the resource YAML see.
    pub environment: BTreeMap<String, String>,
    /// The variables of `environment` that apps may read as secrets of a store on the environment
    /// (`secretstores.local.env`, and the default store): names, with `*` and `?`. None by default.
    pub secret_env: Globs,
    /// A process beside this one that gets events, jobs, bindings and invocations too.
    pub outside: Option<OutsideApp>,
    /// What an app may keep that has no quotas of its own ([`Grants::quotas`](crate::Grants::quotas)), such as the
    /// process beside this one.
    pub quotas: Quotas,
    /// What the embedding program keeps for itself, beside `data` and `components`: no folder for apps.
    pub own: OwnPlaces,
    /// The namespace of `keyPrefix: namespace`; Dapr's `NAMESPACE`.
    pub namespace: Option<String>,
}

/// An app that is a process of its own, as one beside a sidecar is.
#[derive(Clone, Debug)]
pub struct OutsideApp {
    /// Its app-id; no package may have the same.
    pub app: AppId,
    /// The address on which it listens, over HTTP.
    pub address: Authority,
    /// The token that every request to it carries as `dapr-api-token`: Dapr's `APP_API_TOKEN`.
    pub token: Option<HeaderValue>,
}
