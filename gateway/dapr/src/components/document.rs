//! The YAML source: files, documents, and the structure of Dapr's resources.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_norway::Value;
use wasmgate_common::{Code, Diagnostic, MOST_BRACKETS, Place, is_deep, read_text_file};

use crate::providers::MAX_FILE;

/// One YAML document and where it stands.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) file: PathBuf,
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) value: Value,
}

impl Document {
    /// Gives a mistake its place in the document; a key that it has stays.
    pub(super) fn locate(&self, mut mistake: Diagnostic) -> Diagnostic {
        mistake.place.file = Some(self.file.as_path().into());
        mistake.place.document = Some(self.number);
        mistake
    }

    /// A mistake at a key of the document.
    pub(super) fn error(&self, code: Code, key: &str, message: impl Into<String>, help: &str) -> Diagnostic {
        self.locate(Diagnostic::new(code, message, help).at(Place::of_key(key)))
    }

    pub(super) fn read_as<T: DeserializeOwned>(&self) -> Result<T, Diagnostic> {
        serde_norway::from_value(self.value.clone())
            .map_err(|error| self.error(Code::WrongType, "", error.to_string(), "correct it there"))
    }
}

/// The part of a resource that tells its kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    #[serde(default)]
    pub(super) api_version: String,
    #[serde(default)]
    pub(super) kind: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Meta {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ComponentDocument {
    pub(super) metadata: Meta,
    pub(super) spec: ComponentSpec,
    #[serde(default)]
    pub(super) auth: Auth,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ComponentSpec {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) metadata: Vec<MetadataItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetadataItem {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: Option<Value>,
    #[serde(default)]
    pub(super) secret_key_ref: Option<SecretKeyRef>,
    #[serde(default)]
    pub(super) env_ref: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SecretKeyRef {
    pub(super) name: String,
    #[serde(default)]
    pub(super) key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Auth {
    #[serde(default)]
    pub(super) secret_store: Option<String>,
}

/// Every document of every `.yaml` and `.yml` file of `folder`, in the order of the file names, and what is no YAML.
pub(super) fn read_folder(folder: &Path) -> (Vec<Document>, Vec<Diagnostic>) {
    let file_error = |file: &Path, number, code, message: String, help: &str| {
        Diagnostic::new(code, message, help).at(Place::in_document(file.into(), number, ""))
    };
    let unreadable = |file: &Path, error: io::Error| {
        let help = "check that it exists and its permissions";
        file_error(
            file,
            1,
            Code::FileUnreadable,
            format!("cannot be read: {error}"),
            help,
        )
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return (Vec::new(), vec![unreadable(folder, error)]),
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
    });
    files.sort();
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for file in files {
        let text = match read_text_file(&file, MAX_FILE) {
            Ok(text) => text,
            Err(error) => {
                errors.push(unreadable(&file, error));
                continue;
            }
        };
        if is_deep(&text) {
            let message = format!("more than {MOST_BRACKETS} brackets stand within each other");
            errors.push(file_error(
                &file,
                1,
                Code::Syntax,
                message,
                "no resource needs that",
            ));
            continue;
        }
        for (at, document) in serde_norway::Deserializer::from_str(&text).enumerate() {
            let number = at + 1;
            match Value::deserialize(document) {
                Ok(Value::Null) => {}
                Ok(value) => documents.push(Document {
                    file: file.clone(),
                    number,
                    value,
                }),
                Err(error) => {
                    let help = "correct the YAML there";
                    errors.push(file_error(
                        &file,
                        number,
                        Code::Syntax,
                        error.to_string(),
                        help,
                    ));
                    // What follows a syntax error cannot be trusted.
                    break;
                }
            }
        }
    }
    (documents, errors)
}

/// A scalar as text; Dapr's metadata may hold any.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::Null => Some(String::new()),
        Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}
