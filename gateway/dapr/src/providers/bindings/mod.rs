//! Bindings: cron calls apps; HTTP and local storage are called by them.

mod http;
mod local_storage;

use std::{collections::HashMap, path::Path};

use axum::body::Bytes;
use serde_json::value::RawValue;
use wasmgate_common::{
    Code, Diagnostic, OwnPlaces, Place,
    path::{is_route, with_leading_slash},
};

use crate::{protocol::body::forms::Metadata, time::Schedule};

/// A call of an output binding.
pub(crate) struct Operation<'a> {
    pub(crate) name: &'a str,
    pub(crate) data: Option<&'a RawValue>,
    pub(crate) metadata: Metadata,
    pub(crate) traceparent: Option<&'a str>,
}

/// The result of a call.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// None where the operation has no answer, as opposed to an empty one.
    pub(crate) data: Option<Bytes>,
    pub(crate) metadata: Vec<(String, String)>,
}

/// The failure of a call.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// The part of the answer that is known all the same.
    pub(crate) metadata: Vec<(String, String)>,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self {
            reason,
            metadata: Vec::new(),
        }
    }
}

/// A binding component.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) kind: BindingKind,
    /// The path at the app, for input bindings: the route that is said, or its own name.
    pub(crate) path: String,
}

#[derive(Debug)]
pub(crate) enum BindingKind {
    Cron(Schedule),
    Http(http::HttpBinding),
    LocalStorage(local_storage::LocalStorage),
}

impl Binding {
    /// A binding of Dapr's type `bindings.{kind}` and its name; relative paths start at `folder`, and what is in `own`
    /// is for no app.
    pub(crate) fn new(
        (kind, name): (&str, &str),
        metadata: &HashMap<String, String>,
        folder: &Path,
        own: &OwnPlaces,
    ) -> Result<Self, Diagnostic> {
        let key = |name: &str| Place::of_key(format!("spec.metadata.{name}"));
        let wanted = |name: &str| {
            metadata
                .get(&name.to_ascii_lowercase())
                .ok_or_else(|| Diagnostic::new(Code::MissingKey, "is missing", "add it").at(key(name)))
        };
        let kind = match kind {
            "cron" => {
                let schedule = Schedule::of_binding(wanted("schedule")?);
                BindingKind::Cron(schedule.map_err(|error| Diagnostic::from(error).at(key("schedule")))?)
            }
            "http" => {
                let url = wanted("url")?;
                BindingKind::Http(http::HttpBinding::new(url, metadata).map_err(|error| error.at(key("url")))?)
            }
            "localstorage" => {
                let root = folder.join(wanted("rootPath")?);
                let opened = own
                    .check(&root)
                    .and_then(|()| local_storage::LocalStorage::new(root));
                BindingKind::LocalStorage(opened.map_err(|error| error.at(key("rootPath")))?)
            }
            other => {
                let message = format!("\"bindings.{other}\" is not embedded");
                let help = "use bindings.cron, bindings.http or bindings.localstorage, or mode = \"sidecar\"";
                return Err(Diagnostic::new(Code::Unsupported, message, help).at(Place::of_key("spec.type")));
            }
        };
        let (route, at) = match metadata.get("route") {
            Some(route) => (route.as_str(), key("route")),
            None => (name, Place::of_key("metadata.name")),
        };
        if matches!(kind, BindingKind::Cron(_)) && !is_route(route) {
            let message = format!("{route:?} is no path of a request, by which an app could be called");
            let help =
                "write a path in the metadata item `route`, such as \"/orders\", with a space as %20 and a # as %23";
            return Err(Diagnostic::new(Code::InvalidValue, message, help).at(at));
        }
        let path = with_leading_slash(route);
        Ok(Self { kind, path })
    }

    /// Does what `app` asks of an output binding.
    pub(crate) async fn invoke(
        &self,
        app: &str,
        client: &crate::providers::https::HttpsClient,
        operation: Operation<'_>,
    ) -> Result<Output, Failure> {
        match &self.kind {
            BindingKind::Cron(_) => Err("a cron binding takes no operations".to_owned().into()),
            BindingKind::Http(binding) => binding.invoke(client, operation).await,
            BindingKind::LocalStorage(storage) => Ok(storage.invoke(app, operation).await?),
        }
    }
}

/// Returns true for a metadata value that says yes, as Dapr's components read it.
fn is_truthy(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    matches!(value.as_str(), "y" | "yes" | "true" | "t" | "on" | "1")
}
