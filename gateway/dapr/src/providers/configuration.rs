//! Configuration stores: a JSON file, which may change at run time.

use std::{collections::BTreeMap, fs, io, path::PathBuf, sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};
use wasmgate_common::read_text_file;

use super::MAX_FILE;

/// One item as the API answers it: what is empty is absent, as the sidecar writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Item {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) value: String,
    /// The version in the file; absent from answers if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) version: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) metadata: Map<String, Value>,
}

pub(crate) type Items = BTreeMap<String, Item>;

/// `{"key": "value"}` or `{"key": {"value", "version", "metadata"}}` in a file. A missing file is
/// an empty store.
#[derive(Debug)]
pub(crate) struct ConfigurationStore {
    file: PathBuf,
    cached: Mutex<Option<(Stamp, Arc<Items>)>>,
}

/// Tells one state of the file from another.
type Stamp = Option<(SystemTime, u64)>;

impl ConfigurationStore {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self {
            file,
            cached: Mutex::default(),
        }
    }

    /// The items as the file has them now; read again only when it has changed.
    pub(crate) fn items(&self) -> Result<Arc<Items>, String> {
        let shown = self.file.display();
        let stamp: Stamp = match fs::metadata(&self.file) {
            Ok(metadata) => Some((
                metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                metadata.len(),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("{shown} cannot be read: {error}")),
        };
        let mut cached = self.cached.lock();
        if let Some((at, items)) = &*cached
            && *at == stamp
        {
            return Ok(items.clone());
        }
        let text = match stamp {
            None => "{}".to_owned(),
            Some(_) => {
                read_text_file(&self.file, MAX_FILE).map_err(|error| format!("{shown} cannot be read: {error}"))?
            }
        };
        let items: BTreeMap<String, Value> =
            serde_json::from_str(&text).map_err(|error| format!("{shown} is no JSON object: {error}"))?;
        let items = items
            .into_iter()
            .map(|(key, value)| (key, item(value)))
            .collect();
        let items = Arc::new(items);
        *cached = Some((stamp, Arc::clone(&items)));
        Ok(items)
    }
}

fn item(value: Value) -> Item {
    let (value, version, metadata) = match value {
        Value::Object(mut fields) if fields.contains_key("value") => {
            let metadata = match fields.remove("metadata") {
                Some(Value::Object(metadata)) => metadata,
                _ => Map::new(),
            };
            let version = fields.remove("version").map(text);
            (
                text(fields.remove("value").unwrap_or_default()),
                version,
                metadata,
            )
        }
        value => (text(value), None, Map::new()),
    };
    let version = version.unwrap_or_default();
    Item {
        value,
        version,
        metadata,
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
