//! Secret stores: a JSON file, or the environment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;
use wasmgate_common::{Code, Diagnostic, read_text_file};

use super::MAX_FILE;
use crate::settings::Settings;

/// The secrets of one store by name; a secret is one value under its own name, or several.
#[derive(Clone, Default, Hash)]
pub(crate) struct SecretStore {
    secrets: BTreeMap<String, BTreeMap<String, String>>,
    /// Of a store on the environment.
    variables: Option<Variables>,
}

/// The gateway's environment as a store has it.
#[derive(Clone, Default, Hash)]
struct Variables {
    /// Listed ones by their whole names.
    listed: Vec<String>,
    /// The variables that are not listed: for `secretKeyRef` of component files, which are the operator's word, and for
    /// no app.
    unlisted: BTreeMap<String, String>,
}

impl std::fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.secrets.keys()).finish()
    }
}

impl SecretStore {
    /// The default store: `secrets.json` in the data folder if there is one, else what is listed of the environment.
    ///
    /// # Errors
    /// When there is a file and it is not right.
    pub(crate) fn local(settings: &Settings) -> Result<Self, Diagnostic> {
        let file: PathBuf = settings.data.join("secrets.json");
        match Self::file(&file, ":", false) {
            Err(_) if !file.exists() => Ok(Self::environment(settings, None)),
            read => read,
        }
    }

    /// `secretstores.local.env`: every variable that [`Settings::secret_env`] lists is a secret; with a prefix only
    /// those that have it, under the rest of their names.
    pub(crate) fn environment(settings: &Settings, prefix: Option<&String>) -> Self {
        let prefix = prefix.map_or("", String::as_str);
        let (mut secrets, mut variables) = (BTreeMap::new(), Variables::default());
        for (whole, value) in &settings.environment {
            // The platform's own tokens are not the apps' business, as in the sidecar.
            if matches!(whole.as_str(), "DAPR_API_TOKEN" | "APP_API_TOKEN") {
                continue;
            }
            let Some(name) = whole.strip_prefix(prefix) else {
                continue;
            };
            if settings.secret_env.matches(whole) {
                variables.listed.push(whole.clone());
                secrets.insert(name.to_owned(), single(name, value));
            } else {
                variables.unlisted.insert(name.to_owned(), value.clone());
            }
        }
        Self {
            secrets,
            variables: Some(variables),
        }
    }

    /// The variables of the environment that apps may read here; none if the store is not on the environment.
    pub(crate) fn listed_variables(&self) -> Option<&[String]> {
        Some(&self.variables.as_ref()?.listed)
    }

    /// The value that a component file's `secretKeyRef` means.
    pub(crate) fn of_reference(&self, name: &str, key: &str) -> Option<&String> {
        let unlisted = || self.variables.as_ref()?.unlisted.get(name);
        match self.get(name) {
            Some(values) => values.get(key).or(values.values().next()),
            None => unlisted(),
        }
    }

    /// `secretstores.local.file`: nested objects become names joined by `separator`, or, with
    /// `multi`, each top-level object is one secret of several values.
    pub(crate) fn file(path: &Path, separator: &str, multi: bool) -> Result<Self, Diagnostic> {
        let shown = path.display();
        let text = read_text_file(path, MAX_FILE).map_err(|error| {
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
        Ok(Self {
            secrets,
            variables: None,
        })
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
    use std::fs;

    use super::*;
    use crate::Globs;

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
            secret_env: Globs::new(["*"]).unwrap(),
            ..Settings::default()
        };
        let store = SecretStore::environment(&settings, Some(&"APP_".to_owned()));
        assert_eq!(store.get("X").unwrap()["X"], "x");
        assert_eq!(SecretStore::environment(&settings, None).all().len(), 1);
    }

    #[test]
    fn a_variable_that_is_not_listed_is_for_component_files_alone() {
        let environment = [("HOME", "/root"), ("SHOP_A", "a"), ("SHOP", "s")];
        let mut settings = Settings {
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Settings::default()
        };
        let none = SecretStore::environment(&settings, None);
        assert!(none.all().is_empty() && none.get("HOME").is_none());
        assert_eq!(none.of_reference("HOME", "HOME").unwrap(), "/root");
        settings.secret_env = Globs::new(["SHOP_*"]).unwrap();
        let some = SecretStore::environment(&settings, None);
        assert_eq!(some.all().keys().collect::<Vec<_>>(), ["SHOP_A"]);
        assert_eq!(some.listed_variables().unwrap(), ["SHOP_A"]);
        // The list names variables as they are in the environment, with their prefix.
        let rest = SecretStore::environment(&settings, Some(&"SHOP_".to_owned()));
        assert_eq!(rest.get("A").unwrap()["A"], "a");
        assert!(!format!("{some:?}").contains("/root"));
    }
}
