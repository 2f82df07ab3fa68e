//! Dapr's resource files with what a test replaces in them.

use std::{fmt::Write as _, fs, path::Path};

use serde_norway::{Mapping, Value};

/// Resource files as they are shipped, but for where things are.
#[derive(Default)]
pub struct Resources {
    text: String,
    replaced: Vec<(String, String)>,
    secrets: Vec<(String, String, String)>,
}

impl Resources {
    /// Adds documents.
    pub fn text(mut self, yaml: &str) -> Self {
        let _ = write!(self.text, "---\n{yaml}\n");
        self
    }

    /// Adds the documents of a file.
    pub fn file(self, path: &Path) -> Self {
        let text = fs::read_to_string(path);
        self.text(&text.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// Replaces an address that the files name, such as a host of the cluster.
    pub fn replace(mut self, named: &str, own: impl ToString) -> Self {
        self.replaced.push((named.to_owned(), own.to_string()));
        self
    }

    /// The value of a secret of the cluster, which a sidecar outside of it cannot read.
    pub fn secret(mut self, name: &str, key: &str, value: impl ToString) -> Self {
        self.secrets
            .push((name.to_owned(), key.to_owned(), value.to_string()));
        self
    }

    /// Writes each document into a file of its own: of a file with several the sidecar reads no Resiliency but the
    /// first.
    pub(crate) fn write_to(&self, folder: &Path) {
        let mut text = self.text.clone();
        for (named, own) in &self.replaced {
            assert!(text.contains(named), "no resource names {named:?}");
            text = text.replace(named, own);
        }
        let mut number = 0;
        for document in serde_norway::Deserializer::from_str(&text) {
            let mut value = <Value as serde::Deserialize>::deserialize(document).unwrap();
            if value.is_null() {
                continue;
            }
            self.reveal(&mut value);
            number += 1;
            let file = folder.join(format!("{number}.yaml"));
            fs::write(file, serde_norway::to_string(&value).unwrap()).unwrap();
        }
    }

    /// Puts values in the place of references to secrets.
    fn reveal(&self, value: &mut Value) {
        match value {
            Value::Sequence(items) => items.iter_mut().for_each(|item| self.reveal(item)),
            Value::Mapping(fields) => {
                if let Some(Value::Mapping(reference)) = fields.remove("secretKeyRef") {
                    fields.insert("value".into(), self.secret_of(&reference).into());
                }
                fields.values_mut().for_each(|field| self.reveal(field));
            }
            _ => {}
        }
    }

    fn secret_of(&self, reference: &Mapping) -> String {
        let field = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or("");
        let of_reference =
            |(name, key, _): &&(String, String, String)| (name.as_str(), key.as_str()) == (field("name"), field("key"));
        let found = self.secrets.iter().find(of_reference);
        let (_, _, value) = found.unwrap_or_else(|| panic!("the test has no secret {reference:?}"));
        value.clone()
    }
}
