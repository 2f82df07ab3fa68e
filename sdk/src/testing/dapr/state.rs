//! State in memory, with ETags and transactions.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    answer::{Answer, answer_json, refuse, text},
    clock::later,
};
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
    /// When it would expire, if time went on.
    expiry: Option<String>,
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
    consistency: String,
}

#[derive(Deserialize)]
struct Transaction {
    #[serde(default)]
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    operation: String,
    request: Write,
}

/// Metadata that says for how many seconds a value is kept.
const TTL: &str = "ttlInSeconds";

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
            expiry: None,
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
        match (method.as_str(), rest) {
            ("POST", []) => {
                let writes: Option<Vec<Write>> = answer_json(body)?;
                for mut write in writes.unwrap_or_default() {
                    if let Some(ttl) = request.query_param(&format!("metadata.{TTL}")) {
                        write.metadata.insert(TTL.to_owned(), ttl.into_owned());
                    }
                    self.save(store, write, "ERR_STATE_SAVE")?;
                }
                Ok(Response::new(204))
            }
            ("POST", ["bulk"]) => self.bulk(store, body),
            ("POST", ["transaction"]) => self.transaction(store, body),
            ("GET", [key]) => {
                check(key)?;
                let Some(row) = self.stores.get(store).and_then(|rows| rows.get(*key)) else {
                    return Ok(Response::new(204));
                };
                let response = Response::bytes(row.json.clone().into_bytes())
                    .with_header("content-type", "application/json")
                    .with_header("etag", row.etag.to_string());
                Ok(match &row.expiry {
                    Some(expiry) => response.with_header("metadata.ttlExpireTime", expiry.as_str()),
                    None => response,
                })
            }
            ("DELETE", [key]) => {
                let delete = Write {
                    key: (*key).to_owned(),
                    value: None,
                    etag: request.header("if-match").map(str::to_owned),
                    options: Options {
                        concurrency: request
                            .query_param("concurrency")
                            .unwrap_or_default()
                            .into_owned(),
                        consistency: request
                            .query_param("consistency")
                            .unwrap_or_default()
                            .into_owned(),
                    },
                    metadata: BTreeMap::new(),
                };
                self.write(store, delete, None, "ERR_STATE_DELETE")?;
                Ok(Response::new(204))
            }
            _ => refuse(404, "ERR_DIRECT_INVOKE", "no such call of state"),
        }
    }

    fn bulk(&self, store: &str, body: &[u8]) -> Answer {
        #[derive(Deserialize)]
        struct Bulk {
            #[serde(default)]
            keys: Vec<String>,
        }
        let Bulk { keys } = answer_json(body)?;
        keys.iter().try_for_each(|key| check(key))?;
        let rows = self.stores.get(store);
        let item = |key: &String| match rows.and_then(|rows| rows.get(key)) {
            Some(row) => {
                let data: Value = serde_json::from_str(&row.json).unwrap_or_default();
                let etag = row.etag.to_string();
                match &row.expiry {
                    Some(expiry) => {
                        json!({"key": key, "data": data, "etag": etag, "metadata": {"ttlExpireTime": expiry}})
                    }
                    None => json!({"key": key, "data": data, "etag": etag}),
                }
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
        for Operation { operation, request } in operations {
            check(&request.key)?;
            const FAILED: &str = "ERR_STATE_TRANSACTION";
            let written = match operation.as_str() {
                "upsert" if request.is_projection() => continue,
                "upsert" => self.save(store, request, FAILED),
                "delete" => self.write(store, request, None, FAILED),
                _ => return refuse(400, "ERR_NOT_SUPPORTED_STATE_OPERATION", &operation),
            };
            if let Err(refusal) = written {
                self.stores
                    .insert(store.to_owned(), before.unwrap_or_default());
                return Err(refusal.with_status(500));
            }
        }
        Ok(Response::new(204))
    }

    /// Saves a value; none is `null`.
    fn save(&mut self, store: &str, mut write: Write, code: &str) -> Result<(), Response> {
        let expiry = match write.metadata.get(TTL).map(|ttl| ttl.parse::<i64>().ok()) {
            None => None,
            Some(Some(seconds)) => (seconds > 0).then(|| later(seconds.unsigned_abs())),
            Some(None) => return refuse(500, code, &format!("{TTL} is no number")),
        };
        let json = write
            .value
            .take()
            .map_or("null".to_owned(), |value| value.get().to_owned());
        self.last_etag += 1;
        let etag = self.last_etag;
        self.write(store, write, Some(Row { json, etag, expiry }), code)
    }

    /// Puts a row in place of the one there is, or deletes that.
    fn write(&mut self, store: &str, write: Write, row: Option<Row>, code: &str) -> Result<(), Response> {
        check(&write.key)?;
        let Options {
            concurrency,
            consistency,
        } = &write.options;
        if !matches!(concurrency.as_str(), "" | "first-write" | "last-write")
            || !matches!(consistency.as_str(), "" | "eventual" | "strong")
        {
            return refuse(500, code, "unrecognized concurrency or consistency");
        }
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
        match row {
            Some(row) => drop(rows.insert(write.key, row)),
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

/// The longest key, in bytes, that the embedded runtime takes.
const KEY_MAX: usize = 1024;

fn check(key: &str) -> Result<(), Response> {
    if key.is_empty() || key.contains("||") || key.len() > KEY_MAX {
        let message = format!("a key has 1 to {KEY_MAX} bytes and no `||`");
        return refuse(400, "ERR_MALFORMED_REQUEST", &message);
    }
    Ok(())
}
