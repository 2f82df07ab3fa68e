//! `wasi:config`: the variables of a package's `env`, and the items of the configuration store that its `config` names.
//!
//! It is one interface under several names: `runtime` was renamed to `store`, and an error's name is not part of its
//! type.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Request, StatusCode};
use serde::Deserialize;
use wasmgate_common::path::encode_component;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower},
};

use super::answer;
use crate::{account::Kept, egress::DaprDoor, instance::HostState};

/// The interface, by the names that components import: the proposal's and wasmtime's, an older one of the proposal, the
/// one of Spin, and the one of wasmCloud.
pub(super) const OFFERED: [&str; 4] = [
    "wasi:config/store@0.2.0-rc.1",
    "wasi:config/store@0.2.0-draft",
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:config/runtime@0.2.0-draft",
];

/// `wasi:config/store.error`.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    /// The store failed, in words.
    #[component(name = "upstream")]
    Upstream(String),
    /// Reading what it answered failed, in words.
    #[component(name = "io")]
    Io(String),
}

/// Puts the interface into a linker.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link(linker: &mut Linker<HostState>, name: &str) -> wasmtime::Result<()> {
    let mut instance = linker.instance(name)?;
    instance.func_wrap_async(
        "get",
        |mut store: StoreContextMut<'_, HostState>, (key,): (String,)| {
            let state = store.data_mut();
            let (door, kept) = (state.dapr_door(), state.kept());
            Box::new(async move { Ok((get(&door, &kept, &key).await,)) })
        },
    )?;
    instance.func_wrap_async(
        "get-all",
        |mut store: StoreContextMut<'_, HostState>, (): ()| {
            let state = store.data_mut();
            let (door, kept) = (state.dapr_door(), state.kept());
            Box::new(async move { Ok((get_all(&door, &kept).await,)) })
        },
    )
}

async fn get(door: &DaprDoor, kept: &Kept, key: &str) -> Result<Option<String>, Error> {
    let mut env = door.account().config.env.iter();
    if let Some((_, value)) = env.find(|(name, _)| name == key) {
        return Ok(Some(value.clone()));
    }
    if key.is_empty() {
        return Ok(None);
    }
    let query = format!("?key={}", encode_component(key));
    let mut items = items(door, kept, &query).await?;
    Ok(items.remove(key))
}

async fn get_all(door: &DaprDoor, kept: &Kept) -> Result<Vec<(String, String)>, Error> {
    let mut all = items(door, kept, "").await?;
    all.extend(door.account().config.env.iter().cloned());
    Ok(all.into_iter().collect())
}

/// Items of the configuration store; none without one.
async fn items(door: &DaprDoor, kept: &Kept, query: &str) -> Result<BTreeMap<String, String>, Error> {
    #[derive(Deserialize)]
    struct Item {
        #[serde(default)]
        value: String,
    }
    let Some(granted) = &door.account().config.config else {
        return Ok(BTreeMap::new());
    };
    let store = encode_component(&granted.store);
    let request = Request::get(format!("/v1.0/configuration/{store}{query}")).body(Body::empty());
    let request = request.map_err(|error| Error::Io(error.to_string()))?;
    let response = door.call(&granted.grants, request).await;
    if !response.status().is_success() {
        return Err(Error::Upstream(answer::words(response).await));
    }
    if response.status() == StatusCode::NO_CONTENT {
        return Ok(BTreeMap::new());
    }
    let (body, _while_it_is_read) = answer::whole(response, kept).await.map_err(Error::Io)?;
    let items = serde_json::from_slice::<BTreeMap<String, Item>>(&body);
    let items = items.map_err(|error| Error::Io(error.to_string()))?;
    Ok(items
        .into_iter()
        .map(|(key, item)| (key, item.value))
        .collect())
}
