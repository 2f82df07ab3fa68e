//! State in memory, with ETags and transactions.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::answer::{Answer, answer_json, refuse, text};
use crate::{Method, Request, Response};

#[derive(Default)]
pub(super) struct States {
    stores: BTreeMap<String, Store>,
    last_etag: u64,
}

type Store = BTreeMap<String, Row>;

#[derive(Clone)]
struct Row {
    json: String,
    etag: u64,
}

#[derive(Deserialize)]
struct Write {
    key: String,
    value: Option<Box<RawValue>>,
    etag: Option<String>,
    #[serde(default)]
    options: Options,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Options {
    concurrency: String,
}

#[derive(Deserialize)]
struct Transaction {
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    operation: String,
    request: Write,
}

/// Metadata of what is not saved but published in place of what is saved under its key.
const PROJECTION: &str = "outbox.projection";

impl Write {
    fn is_projection(&self) -> bool {
        self.metadata.get(PROJECTION).is_some_and(|on| on == "true")
    }
}

/// The same for a request that is not read yet.
pub(super) fn is_projection(request: &Value) -> bool {
    let metadata = request.get("metadata").unwrap_or(&Value::Null);
    text(metadata, PROJECTION) == "true"
}

impl States {
    pub(super) fn value(&self, store: &str, key: &str) -> Option<Value> {
        let row = self.stores.get(store)?.get(key)?;
        serde_json::from_str(&row.json).ok()
    }

    pub(super) fn keys(&self, store: &str) -> Vec<String> {
        let rows = self.stores.get(store).into_iter().flatten();
        rows.map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn put(&mut self, store: &str, key: &str, value: &Value) {
        self.last_etag += 1;
        let row = Row {
            json: value.to_string(),
            etag: self.last_etag,
        };
        let store = self.stores.entry(store.to_owned()).or_default();
        store.insert(key.to_owned(), row);
    }

    pub(super) fn answer(
        &mut self,
        method: &Method,
        store: &str,
        rest: &[&str],
        request: &Request,
        body: &[u8],
    ) -> Answer {
        match (method, rest) {
            (Method::Post, []) => {
                let writes: Vec<Write> = answer_json(body)?;
                for write in writes {
                    self.write(store, write, "ERR_STATE_SAVE")?;
                }
                Ok(Response::new(204))
            }
            (Method::Post, ["bulk"]) => self.bulk(store, body),
            (Method::Post, ["transaction"]) => self.transaction(store, body),
            (Method::Get, [key]) => {
                check(key, "ERR_STATE_GET")?;
                Ok(
                    match self.stores.get(store).and_then(|rows| rows.get(*key)) {
                        Some(row) => Response::bytes(row.json.clone().into_bytes())
                            .with_header("content-type", "application/json")
                            .with_header("etag", row.etag.to_string()),
                        None => Response::new(204),
                    },
                )
            }
            (Method::Delete, [key]) => {
                let delete = Write {
                    key: (*key).to_owned(),
                    value: None,
                    etag: request.header("if-match").map(str::to_owned),
                    options: Options {
                        concurrency: request
                            .query_param("concurrency")
                            .unwrap_or_default()
                            .into_owned(),
                    },
                    metadata: BTreeMap::new(),
                };
                self.write(store, delete, "ERR_STATE_DELETE")?;
                Ok(Response::new(204))
            }
            _ => refuse(404, "ERR_DIRECT_INVOKE", "no such call of state"),
        }
    }

    fn bulk(&self, store: &str, body: &[u8]) -> Answer {
        #[derive(Deserialize)]
        struct Bulk {
            keys: Vec<String>,
        }
        let Bulk { keys } = answer_json(body)?;
        let rows = self.stores.get(store);
        let item = |key: &String| match rows.and_then(|rows| rows.get(key)) {
            Some(row) => {
                let data: Value = serde_json::from_str(&row.json).unwrap_or_default();
                json!({"key": key, "data": data, "etag": row.etag.to_string()})
            }
            None => json!({"key": key}),
        };
        // Dapr reads in parallel and promises no order.
        Ok(Response::json(
            &keys.iter().rev().map(item).collect::<Vec<_>>(),
        ))
    }

    fn transaction(&mut self, store: &str, body: &[u8]) -> Answer {
        let Transaction { operations } = answer_json(body)?;
        let before = self.stores.get(store).cloned();
        for Operation {
            operation,
            mut request,
        } in operations
        {
            match operation.as_str() {
                "upsert" if request.is_projection() => continue,
                "upsert" => {}
                "delete" => request.value = None,
                _ => return refuse(400, "ERR_NOT_SUPPORTED_STATE_OPERATION", &operation),
            }
            if let Err(refusal) = self.write(store, request, "ERR_STATE_TRANSACTION") {
                self.stores
                    .insert(store.to_owned(), before.unwrap_or_default());
                return Err(refusal.with_status(500));
            }
        }
        Ok(Response::new(204))
    }

    /// Saves, or deletes when there is no value.
    fn write(&mut self, store: &str, write: Write, code: &str) -> Result<(), Response> {
        check(&write.key, code)?;
        let rows = self.stores.entry(store.to_owned()).or_default();
        let found = rows.get(&write.key).map(|row| row.etag);
        let given = write.etag.as_deref().filter(|etag| !etag.is_empty());
        let matches = match given {
            // As with most stores, one of another form is only one that nothing has.
            Some(etag) => found.is_some_and(|found| found.to_string() == etag),
            None => write.options.concurrency != "first-write" || found.is_none(),
        };
        if !matches {
            return refuse(409, code, &mismatch(code, store, &write.key));
        }
        match write.value {
            Some(value) => {
                self.last_etag += 1;
                let (json, etag) = (value.get().to_owned(), self.last_etag);
                rows.insert(write.key, Row { json, etag });
            }
            None => drop(rows.remove(&write.key)),
        }
        Ok(())
    }
}

/// Dapr's words, with those of a store in them.
fn mismatch(code: &str, store: &str, key: &str) -> String {
    let words = "possible etag mismatch. error from state store";
    match code {
        "ERR_STATE_DELETE" => format!("failed deleting state with key {key}: {words}"),
        "ERR_STATE_TRANSACTION" => format!("error while executing state transaction: {words}"),
        _ => format!("failed saving state in state store {store}: {words}"),
    }
}

fn check(key: &str, code: &str) -> Result<(), Response> {
    if key.contains("||") {
        return refuse(400, code, "a key may not contain `||`");
    }
    Ok(())
}
