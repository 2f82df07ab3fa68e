//! Caveats: where the embedded runtime and a sidecar treat a component of the same type differently, for authors of
//! packages that should run beside a sidecar.

use super::{Component, Components, KeyedStore};
use crate::providers::secrets::SecretStore;

/// The stores of Dapr 1.18 that have the query API
/// (<https://docs.dapr.io/reference/components-reference/supported-state-stores/>), as type and version; `None` is every
/// version.
const QUERIED: [(&str, Option<&str>); 4] = [
    ("state.azure.cosmosdb", None),
    ("state.cockroachdb", None),
    ("state.mongodb", None),
    ("state.postgresql", Some("v1")),
];

/// A sentence for each, in the order of the components' names.
pub(crate) fn caveats(components: &Components) -> Vec<String> {
    let mut stores: Vec<_> = components.state.values().collect();
    stores.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let mut caveats: Vec<_> = stores.into_iter().flat_map(of_store).collect();
    caveats.extend(environment(components));
    caveats
}

/// Says of each secret store on the environment which variables it serves.
pub(crate) fn environment(components: &Components) -> Vec<String> {
    let mut stores: Vec<_> = components.secrets.values().collect();
    stores.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    stores.into_iter().filter_map(of_secrets).collect()
}

fn of_secrets(store: &Component<SecretStore>) -> Option<String> {
    let name = &store.name;
    Some(match store.it.listed_variables()? {
        [] => format!(
            "component {name} serves no variable of the gateway's environment, as a sidecar would; list those that \
             packages may read in [dapr] secret_env"
        ),
        listed => {
            let listed = listed.join(", ");
            format!("component {name} serves these variables of the gateway's environment: {listed}")
        }
    })
}

fn of_store(store: &Component<KeyedStore>) -> Vec<String> {
    let (name, kind, version) = (&store.name, &store.kind, &store.version);
    let mut found = Vec::new();
    if kind == "state.redis" {
        found.push(format!(
            "component {name}: beside a sidecar {kind} has a query API only with RedisJSON and queryIndexes"
        ));
        found.push(format!(
            "component {name}: beside a sidecar {kind} writes the rest of a transaction whose ETag does not match; \
             state.postgresql v2 does all or nothing"
        ));
    } else if !QUERIED
        .iter()
        .any(|(queried, only)| kind == queried && only.is_none_or(|only| only == version))
    {
        found.push(format!(
            "component {name}: beside a sidecar {kind} {version} has no query API, as it has here"
        ));
    }
    found
}
