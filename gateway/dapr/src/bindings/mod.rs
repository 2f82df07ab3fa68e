//! Bindings: cron calls apps; HTTP and local storage are called by them.

mod http;
mod local_storage;

use std::{collections::HashMap, path::Path};

use axum::body::Bytes;
use serde_json::value::RawValue;

use crate::time::Schedule;

/// What an output binding is asked to do.
pub(crate) struct Operation<'a> {
    pub(crate) name: &'a str,
    pub(crate) data: Option<&'a RawValue>,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) traceparent: Option<&'a str>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) data: Bytes,
    pub(crate) metadata: Vec<(String, String)>,
}

/// A binding component.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) kind: BindingKind,
    /// The path at the app, for input bindings; its own name by default.
    pub(crate) route: Option<String>,
}

#[derive(Debug)]
pub(crate) enum BindingKind {
    Cron(Schedule),
    Http(http::HttpBinding),
    LocalStorage(local_storage::LocalStorage),
}

/// A key and what is wrong with it.
pub(crate) type Mistake = (String, String);

impl Binding {
    /// A binding of Dapr's type `bindings.{kind}`; relative paths start at `folder`.
    pub(crate) fn new(
        kind: &str,
        metadata: &HashMap<String, String>,
        folder: &Path,
    ) -> Result<Self, Mistake> {
        let key = |name: &str| format!("spec.metadata.{name}");
        let wanted = |name: &str| {
            metadata
                .get(&name.to_ascii_lowercase())
                .ok_or_else(|| (key(name), "is missing; add it".to_owned()))
        };
        let kind = match kind {
            "cron" => {
                let schedule = wanted("schedule")?.parse();
                BindingKind::Cron(schedule.map_err(|error: crate::time::TimeError| {
                    (key("schedule"), error.to_string())
                })?)
            }
            "http" => {
                let url = wanted("url")?;
                BindingKind::Http(
                    http::HttpBinding::new(url, metadata).map_err(|error| (key("url"), error))?,
                )
            }
            "localstorage" => {
                let root = folder.join(wanted("rootPath")?);
                BindingKind::LocalStorage(
                    local_storage::LocalStorage::new(root)
                        .map_err(|error| (key("rootPath"), error))?,
                )
            }
            other => {
                let message = format!(
                    "\"bindings.{other}\" is not embedded; use bindings.cron, bindings.http or \
                     bindings.localstorage, or mode = \"sidecar\""
                );
                return Err(("spec.type".to_owned(), message));
            }
        };
        Ok(Self {
            kind,
            route: metadata.get("route").cloned(),
        })
    }

    /// Does what an app asks of an output binding.
    pub(crate) async fn invoke(
        &self,
        client: &crate::runtime::HttpsClient,
        operation: Operation<'_>,
    ) -> Result<Output, String> {
        match &self.kind {
            BindingKind::Cron(_) => Err("a cron binding takes no operations".to_owned()),
            BindingKind::Http(binding) => binding.invoke(client, operation).await,
            BindingKind::LocalStorage(storage) => storage.invoke(operation).await,
        }
    }
}

/// The bytes an app means by `data`: the text of a JSON string, any other JSON as it stands.
fn payload(data: Option<&RawValue>) -> Vec<u8> {
    let Some(data) = data.map(RawValue::get) else {
        return Vec::new();
    };
    match serde_json::from_str::<String>(data) {
        Ok(text) => text.into_bytes(),
        Err(_) if data == "null" => Vec::new(),
        Err(_) => data.as_bytes().to_vec(),
    }
}
