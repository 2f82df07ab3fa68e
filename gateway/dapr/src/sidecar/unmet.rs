//! Grants that match nothing that the sidecar has.

use serde::Deserialize;

use super::shared::Shared;

/// A component as the sidecar lists it.
#[derive(Debug, Deserialize)]
struct Component {
    #[serde(default)]
    name: String,
    #[serde(default)]
    r#type: String,
}

/// Logs each grant of a package for which the sidecar lists no component; nothing where it lists none at all.
pub(super) async fn warn(shared: &Shared) {
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(default)]
        components: Vec<Component>,
    }
    let listed = shared.client.get("/v1.0/metadata").await;
    let listed = listed.and_then(|body| serde_json::from_slice::<Metadata>(&body).ok());
    let Some(Metadata { components }) = listed.filter(|listed| !listed.components.is_empty()) else {
        return;
    };
    for (app, grants) in shared.apps.load().iter() {
        for (key, glob, alone) in grants.singly() {
            let opens = |component: &Component| alone.sees_component(&component.r#type, &component.name);
            // Which apps there are it does not list.
            if key != "invoke" && !glob.is_everything() && !components.iter().any(opens) {
                let grant = glob.as_str();
                tracing::warn!(app_id = %app, key, grant, "a grant opens nothing: the sidecar has no such component");
            }
        }
    }
}
