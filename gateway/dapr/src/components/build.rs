//! Builds components from documents, and reports every mistake with its position.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use serde::Deserialize;
use wasmgate_common::{Code, Diagnostic, Diagnostics, OwnPlaces, Place};

use super::{
    Components, Declared, Scopes,
    blocks::{Metadata, insert, keyed_store, missing, pubsub},
    defaults,
    document::{ComponentDocument, Document, Head, MetadataItem, read_folder, scalar},
    fingerprint,
};
use crate::{
    providers::{bindings::Binding, configuration::ConfigurationStore, secrets::SecretStore},
    settings::Settings,
    subscription::{Spec, Subscription},
};

/// Reads the folder of the settings, or makes the defaults.
pub(crate) fn load(settings: &Settings) -> Result<Components, Diagnostics> {
    let Some(folder) = &settings.components else {
        return defaults(settings);
    };
    let (documents, mut errors) = read_folder(folder);
    let mut own = settings.own.clone();
    own.add("the folder of component files", folder, false);
    own.add("the data of the building blocks", &settings.data, false);
    let mut builder = Builder {
        settings,
        folder,
        own,
        names: HashSet::new(),
        built: Components::default(),
    };
    // Secret stores come first: the others may refer to their secrets.
    let (first, second): (Vec<_>, Vec<_>) = documents.iter().partition(|document| {
        let kind = document.value.get("spec").and_then(|spec| spec.get("type"));
        kind.and_then(|kind| kind.as_str())
            .is_some_and(|kind| kind.starts_with("secretstores."))
    });
    for document in first.into_iter().chain(second) {
        if let Err(mut found) = builder.add(document) {
            errors.append(&mut found);
        }
    }
    if errors.is_empty() {
        builder.built.fingerprint = fingerprint(&(
            folder,
            settings.substitute,
            documents
                .iter()
                .map(|document| (&document.file, format!("{:?}", document.value)))
                .collect::<Vec<_>>(),
            builder
                .built
                .secrets
                .iter()
                .map(|(name, store)| (name, &store.it))
                .collect::<BTreeMap<_, _>>(),
        ));
        Ok(builder.built)
    } else {
        Err(Diagnostics::new(folder, errors))
    }
}

struct Builder<'a> {
    settings: &'a Settings,
    folder: &'a Path,
    /// What no app may write.
    own: OwnPlaces,
    names: HashSet<String>,
    built: Components,
}

impl Builder<'_> {
    fn add(&mut self, document: &Document) -> Result<(), Vec<Diagnostic>> {
        let head: Head = document.read_as().map_err(|error| vec![error])?;
        match (head.api_version.as_str(), head.kind.as_str()) {
            ("dapr.io/v1alpha1", "Component") => self.component(document),
            ("dapr.io/v1alpha1" | "dapr.io/v2alpha1", "Subscription") => self.subscription(document),
            ("dapr.io/v1alpha1", "Resiliency") => self.built.resiliency.add(document),
            // Resources of a sidecar that mean nothing here.
            ("dapr.io/v1alpha1", "Configuration" | "HTTPEndpoint") => Ok(()),
            (version, kind) => Err(vec![document.error(
                Code::Unsupported,
                "kind",
                format!("{kind:?} of {version:?} is no resource this runtime knows"),
                "write Component, Subscription or Resiliency of dapr.io/v1alpha1",
            )]),
        }
    }

    fn component(&mut self, document: &Document) -> Result<(), Vec<Diagnostic>> {
        let raw: ComponentDocument = document.read_as().map_err(|error| vec![error])?;
        let name = raw.metadata.name.clone();
        if name.is_empty() || name.contains('/') || name.contains("||") {
            let message = format!("{name:?} is no name");
            let help = "write one without slashes";
            return Err(vec![document.error(
                Code::InvalidValue,
                "metadata.name",
                message,
                help,
            )]);
        }
        if !self.names.insert(name.clone()) {
            let message = format!("there is another component {name:?}");
            let help = "give each its own name";
            return Err(vec![document.error(
                Code::Duplicate,
                "metadata.name",
                message,
                help,
            )]);
        }
        let metadata = self.metadata(document, &raw)?;
        self.place(document, raw, metadata)
            .map_err(|mistake| vec![document.locate(mistake)])
    }

    /// Puts the component into its building block.
    fn place(&mut self, document: &Document, raw: ComponentDocument, metadata: Metadata) -> Result<(), Diagnostic> {
        let folder = document.file.parent().unwrap_or(self.folder);
        let kind = raw.spec.kind.as_str();
        let substitute = self.settings.substitute;
        let built = &mut self.built;
        match kind.split_once('.').unwrap_or((kind, "")) {
            ("state", kind) if substitute || matches!(kind, "in-memory" | "sqlite") => {
                let mut store = keyed_store(&metadata, self.settings)?;
                store.volatile = kind == "in-memory";
                insert(&mut built.state, &raw, store);
            }
            ("pubsub", kind) if substitute || kind == "in-memory" => {
                insert(&mut built.pubsub, &raw, pubsub(&metadata));
            }
            ("lock", kind) if substitute || matches!(kind, "in-memory" | "sqlite") => {
                let store = keyed_store(&metadata, self.settings)?;
                insert(&mut built.locks, &raw, store);
            }
            ("configuration", "file") => {
                let file = metadata.get("file").ok_or_else(|| missing("file"))?;
                insert(
                    &mut built.configuration,
                    &raw,
                    ConfigurationStore::new(folder.join(file)),
                );
            }
            ("configuration", _) if substitute => {
                let file = self.settings.data.join("configuration.json");
                insert(
                    &mut built.configuration,
                    &raw,
                    ConfigurationStore::new(file),
                );
            }
            ("secretstores", "local.env") => {
                let store = SecretStore::environment(self.settings, metadata.get("prefix"));
                insert(&mut built.secrets, &raw, store);
            }
            ("secretstores", "local.file") => {
                let file = metadata
                    .get("secretsfile")
                    .ok_or_else(|| missing("secretsFile"))?;
                let separator = metadata.get("nestedseparator").map_or(":", String::as_str);
                let multi = metadata
                    .get("multivalued")
                    .is_some_and(|multi| multi == "true");
                let store = SecretStore::file(&folder.join(file), separator, multi)
                    .map_err(|mistake| mistake.at(Place::of_key("spec.metadata.secretsFile")))?;
                insert(&mut built.secrets, &raw, store);
            }
            ("bindings", kind) => {
                let name = raw.metadata.name.as_str();
                let binding = Binding::new((kind, name), &metadata, folder, &self.own)?;
                insert(&mut built.bindings, &raw, binding);
            }
            _ => {
                let help = match kind.split_once('.') {
                    Some(("state" | "pubsub" | "lock" | "configuration", _)) => {
                        "set substitute = true to have the embedded kind stand in for it, or use mode = \"sidecar\""
                    }
                    _ => "use an embedded type, or mode = \"sidecar\"",
                };
                let message = format!("{kind:?} is not embedded");
                return Err(Diagnostic::new(Code::Unsupported, message, help).at(Place::of_key("spec.type")));
            }
        }
        Ok(())
    }

    fn metadata(&self, document: &Document, raw: &ComponentDocument) -> Result<Metadata, Vec<Diagnostic>> {
        let (mut metadata, mut errors) = (Metadata::new(), Vec::new());
        for item in &raw.spec.metadata {
            match self.resolve(item, raw.auth.secret_store.as_deref()) {
                Ok(value) => drop(metadata.insert(item.name.to_ascii_lowercase(), value)),
                Err(mistake) => {
                    let place = Place::of_key(format!("spec.metadata.{}", item.name));
                    errors.push(document.locate(mistake.at(place)));
                }
            }
        }
        if errors.is_empty() {
            Ok(metadata)
        } else {
            Err(errors)
        }
    }

    fn resolve(&self, item: &MetadataItem, store: Option<&str>) -> Result<String, Diagnostic> {
        if let Some(secret) = &item.secret_key_ref {
            let store_name = store.unwrap_or("kubernetes");
            let Some(store) = self.built.secrets.get(store_name) else {
                let message = format!("there is no secret store {store_name:?}");
                return Err(unknown(message, "name one in auth.secretStore"));
            };
            let key = secret.key.as_deref().unwrap_or(&secret.name);
            let found = store.it.of_reference(&secret.name, key);
            return found.cloned().ok_or_else(|| {
                let message = format!(
                    "secret store {store_name:?} has no secret {:?}",
                    secret.name
                );
                unknown(message, "add it there")
            });
        }
        if let Some(name) = &item.env_ref {
            let found = self.settings.environment.get(name).cloned();
            return found.ok_or_else(|| unknown(format!("the environment has no {name}"), "set it"));
        }
        match &item.value {
            None => Ok(String::new()),
            Some(value) => scalar(value).ok_or_else(|| {
                Diagnostic::new(
                    Code::WrongType,
                    "must be a single value",
                    "write a text in quotes",
                )
            }),
        }
    }

    fn subscription(&mut self, document: &Document) -> Result<(), Vec<Diagnostic>> {
        let SubscriptionDocument { spec, scopes } = document.read_as().map_err(|error| vec![error])?;
        // Checked here, so that a mistake is told at the start and not at the first event.
        Subscription::check(&spec)
            .map_err(|error| vec![document.locate(Diagnostic::from(error).at(Place::of_key("spec")))])?;
        let scopes = Scopes(scopes);
        self.built.subscriptions.push(Declared { spec, scopes });
        Ok(())
    }
}

/// A value that names what is not there.
fn unknown(message: String, help: &str) -> Diagnostic {
    Diagnostic::new(Code::UnknownName, message, help)
}

#[derive(Deserialize)]
struct SubscriptionDocument {
    spec: Spec,
    #[serde(default)]
    scopes: Vec<String>,
}
