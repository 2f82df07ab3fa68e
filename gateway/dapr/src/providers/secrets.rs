//! Secret stores: a JSON file, or the environment.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use wasmgate_common::{Code, Diagnostic};

use crate::settings::Settings;

/// The secrets of one store by name; a secret is one value under its own name, or several.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecretStore {
    secrets: BTreeMap<String, BTreeMap<String, String>>,
}

impl SecretStore {
    /// The default store: `secrets.json` in the data folder if there is one, else the environment.
    pub(crate) fn local(settings: &Settings) -> Self {
        let file: PathBuf = settings.data.join("secrets.json");
        match Self::file(&file, ":", false) {
            Ok(store) => store,
            Err(reason) => {
                if file.exists() {
                    tracing::warn!(%reason, "the default secret store falls back to the environment");
                }
                Self::environment(settings, None)
            }
        }
    }

    /// `secretstores.local.env`: every variable is a secret; with a prefix only those that have
    /// it, under the rest of their names.
    pub(crate) fn environment(settings: &Settings, prefix: Option<&String>) -> Self {
        let prefix = prefix.map_or("", String::as_str);
        let mut secrets = BTreeMap::new();
        for (name, value) in &settings.environment {
            // The platform's own tokens are not the apps' business, as in the sidecar.
            if matches!(name.as_str(), "DAPR_API_TOKEN" | "APP_API_TOKEN") {
                continue;
            }
            if let Some(name) = name.strip_prefix(prefix) {
                secrets.insert(name.to_owned(), single(name, value));
            }
        }
        Self { secrets }
    }

    /// `secretstores.local.file`: nested objects become names joined by `separator`, or, with
    /// `multi`, each top-level object is one secret of several values.
    pub(crate) fn file(path: &Path, separator: &str, multi: bool) -> Result<Self, Diagnostic> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("{shown} cannot be read: {error}");
            Diagnostic::new(
                Code::FileUnreadable,
                message,
                "create it or correct the path",
            )
        })?;
        let wrong = |message| Diagnostic::new(Code::Syntax, message, "correct it there");
        let value: Value =
            serde_json::from_str(&text).map_err(|error| wrong(format!("{shown} is not JSON: {error}")))?;
        let Value::Object(top) = value else {
            return Err(wrong(format!("{shown} must hold a JSON object of secrets")));
        };
        let mut secrets = BTreeMap::new();
        for (name, value) in &top {
            let mut flat = BTreeMap::new();
            match value {
                Value::Object(inner) if multi => {
                    for (key, value) in inner {
                        flatten(key, value, separator, &mut flat);
                    }
                    secrets.insert(name.clone(), flat);
                }
                _ => {
                    flatten(name, value, separator, &mut flat);
                    for (name, value) in flat {
                        let values = single(&name, &value);
                        secrets.insert(name, values);
                    }
                }
            }
        }
        Ok(Self { secrets })
    }

    /// The values of secret `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.secrets.get(name)
    }

    /// Every secret.
    pub(crate) fn all(&self) -> &BTreeMap<String, BTreeMap<String, String>> {
        &self.secrets
    }
}

fn single(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}

fn flatten(name: &str, value: &Value, separator: &str, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                flatten(&format!("{name}{separator}{key}"), value, separator, into);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                flatten(&format!("{name}{separator}{at}"), value, separator, into);
            }
        }
        Value::String(text) => drop(into.insert(name.to_owned(), text.clone())),
        other => drop(into.insert(name.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(text: &str, multi: bool) -> SecretStore {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        fs::write(&path, text).unwrap();
        SecretStore::file(&path, ":", multi).unwrap()
    }

    #[test]
    fn nested_secrets_are_joined_by_the_separator() {
        let store = store(r#"{"db":{"user":"a","ports":[1]},"key":"k"}"#, false);
        assert_eq!(store.get("db:user").unwrap()["db:user"], "a");
        assert_eq!(store.get("db:ports:0").unwrap()["db:ports:0"], "1");
        assert_eq!(store.get("key").unwrap()["key"], "k");
    }

    #[test]
    fn multi_valued_secrets_keep_their_keys() {
        let store = store(r#"{"db":{"user":"a","password":"b"}}"#, true);
        assert_eq!(store.get("db").unwrap()["password"], "b");
    }

    #[test]
    fn api_tokens_are_no_secrets_of_the_environment() {
        let environment = [("DAPR_API_TOKEN", "t"), ("APP_X", "x")];
        let environment = environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let settings = Settings {
            environment,
            ..Settings::default()
        };
        let store = SecretStore::environment(&settings, Some(&"APP_".to_owned()));
        assert_eq!(store.get("X").unwrap()["X"], "x");
        assert_eq!(SecretStore::environment(&settings, None).all().len(), 1);
    }
}
