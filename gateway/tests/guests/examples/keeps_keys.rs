//! Does with `wasi:keyvalue` what the request's body says, in one of its two versions, and answers `{"ok": …}` or
//! `{"error": …}`.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    reason = "the bindings are made of interfaces that say what they are"
)]

use serde::Deserialize;
use serde_json::{Value, json};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, dapr::whole, serve};

mod first {
    wit_bindgen::generate!({
        inline: r"
            package wasi:keyvalue@0.2.0-draft;
            interface store {
                variant error { no-such-store, access-denied, other(string) }
                record key-response { keys: list<string>, cursor: option<u64> }
                open: func(identifier: string) -> result<bucket, error>;
                resource bucket {
                    get: func(key: string) -> result<option<list<u8>>, error>;
                    set: func(key: string, value: list<u8>) -> result<_, error>;
                    delete: func(key: string) -> result<_, error>;
                    exists: func(key: string) -> result<bool, error>;
                    list-keys: func(cursor: option<u64>) -> result<key-response, error>;
                }
            }
            interface atomics {
                use store.{bucket, error};
                increment: func(bucket: borrow<bucket>, key: string, delta: u64) -> result<u64, error>;
            }
            interface batch {
                use store.{bucket, error};
                get-many: func(bucket: borrow<bucket>, keys: list<string>)
                    -> result<list<option<tuple<string, list<u8>>>>, error>;
                set-many: func(bucket: borrow<bucket>, key-values: list<tuple<string, list<u8>>>) -> result<_, error>;
                delete-many: func(bucket: borrow<bucket>, keys: list<string>) -> result<_, error>;
            }
            world imports { import store; import atomics; import batch; }
        ",
    });
}

mod second {
    wit_bindgen::generate!({
        inline: r"
            package wasi:keyvalue@0.2.0-draft2;
            interface store {
                variant error { no-such-store, access-denied, other(string) }
                record key-response { keys: list<string>, cursor: option<string> }
                open: func(identifier: string) -> result<bucket, error>;
                resource bucket {
                    get: func(key: string) -> result<option<list<u8>>, error>;
                    set: func(key: string, value: list<u8>) -> result<_, error>;
                    delete: func(key: string) -> result<_, error>;
                    exists: func(key: string) -> result<bool, error>;
                    list-keys: func(cursor: option<string>) -> result<key-response, error>;
                }
            }
            interface atomics {
                use store.{bucket, error};
                variant cas-error { store-error(error), cas-failed(cas) }
                resource cas {
                    new: static func(bucket: borrow<bucket>, key: string) -> result<cas, error>;
                    current: func() -> result<option<list<u8>>, error>;
                }
                increment: func(bucket: borrow<bucket>, key: string, delta: s64) -> result<s64, error>;
                swap: func(cas: cas, value: list<u8>) -> result<_, cas-error>;
            }
            interface batch {
                use store.{bucket, error};
                get-many: func(bucket: borrow<bucket>, keys: list<string>)
                    -> result<list<tuple<string, option<list<u8>>>>, error>;
                set-many: func(bucket: borrow<bucket>, key-values: list<tuple<string, list<u8>>>) -> result<_, error>;
                delete-many: func(bucket: borrow<bucket>, keys: list<string>) -> result<_, error>;
            }
            world imports { import store; import atomics; import batch; }
        ",
    });
}

/// What is to be done.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Ask {
    version: String,
    r#do: String,
    bucket: String,
    key: String,
    keys: Vec<String>,
    value: Vec<u8>,
    items: Vec<(String, Vec<u8>)>,
    delta: i64,
    cursor: Option<String>,
    times: usize,
    /// A value that comes between the two halves of a swap.
    between: Option<Vec<u8>>,
}

type Told = Result<Value, String>;

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let ask: Ask = serde_json::from_slice(&whole(&request)).unwrap_or_default();
    let told = match ask.version.as_str() {
        "0.2.0-draft" => in_first(&ask),
        _ => in_second(&ask),
    };
    let told = match told {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": error }),
    };
    answer(out, 200, &told.to_string());
}

/// What both versions do alike, with an `error` of theirs in words.
macro_rules! alike {
    ($version:ident, $ask:ident, $bucket:ident, $error:ident) => {{
        use $version::wasi::keyvalue::batch;
        match $ask.r#do.as_str() {
            "open" => Ok(Value::Null),
            "open-many" => {
                let name = || $version::wasi::keyvalue::store::open(&$ask.bucket);
                let all: Result<Vec<_>, _> = (0..$ask.times).map(|_| name()).collect();
                all.map(|all| json!(all.len())).map_err($error)
            }
            "get" => $bucket
                .get(&$ask.key)
                .map(|found| json!(found))
                .map_err($error),
            "set" => $bucket
                .set(&$ask.key, &$ask.value)
                .map(|()| Value::Null)
                .map_err($error),
            "delete" => $bucket
                .delete(&$ask.key)
                .map(|()| Value::Null)
                .map_err($error),
            "exists" => $bucket
                .exists(&$ask.key)
                .map(|is| json!(is))
                .map_err($error),
            "get-many" => batch::get_many(&$bucket, &$ask.keys)
                .map(|all| json!(all))
                .map_err($error),
            "set-many" => batch::set_many(&$bucket, &$ask.items)
                .map(|()| Value::Null)
                .map_err($error),
            "delete-many" => batch::delete_many(&$bucket, &$ask.keys)
                .map(|()| Value::Null)
                .map_err($error),
            other => Err(format!("nobody does {other:?}")),
        }
    }};
}

fn in_first(ask: &Ask) -> Told {
    use first::wasi::keyvalue::{atomics, store};
    let error = |error: store::Error| format!("{error:?}");
    let bucket = store::open(&ask.bucket).map_err(error)?;
    match ask.r#do.as_str() {
        "increment" => {
            let delta = ask.delta.try_into().unwrap_or(u64::MAX);
            atomics::increment(&bucket, &ask.key, delta)
                .map(|new| json!(new))
                .map_err(error)
        }
        "list" => {
            let cursor = ask
                .cursor
                .as_ref()
                .map(|cursor| cursor.parse().unwrap_or(u64::MAX));
            let page = bucket.list_keys(cursor).map_err(error)?;
            Ok(json!({ "keys": page.keys, "cursor": page.cursor.map(|cursor| cursor.to_string()) }))
        }
        _ => alike!(first, ask, bucket, error),
    }
}

fn in_second(ask: &Ask) -> Told {
    use second::wasi::keyvalue::{atomics, store};
    let error = |error: store::Error| format!("{error:?}");
    let bucket = store::open(&ask.bucket).map_err(error)?;
    match ask.r#do.as_str() {
        "increment" => atomics::increment(&bucket, &ask.key, ask.delta)
            .map(|new| json!(new))
            .map_err(error),
        "list" => {
            let page = bucket.list_keys(ask.cursor.as_deref()).map_err(error)?;
            Ok(json!({ "keys": page.keys, "cursor": page.cursor }))
        }
        "swap" => {
            let cas = atomics::Cas::new(&bucket, &ask.key).map_err(error)?;
            let before = cas.current().map_err(error)?;
            if let Some(between) = &ask.between {
                bucket.set(&ask.key, between).map_err(error)?;
            }
            let now = match atomics::swap(cas, &ask.value) {
                Ok(()) => Value::Null,
                Err(atomics::CasError::StoreError(wrong)) => return Err(error(wrong)),
                Err(atomics::CasError::CasFailed(now)) => {
                    let seen = now.current().map_err(error)?;
                    let again = atomics::swap(now, &ask.value).is_ok();
                    json!({ "seen": seen, "again": again })
                }
            };
            Ok(json!({ "before": before, "failed": now }))
        }
        _ => alike!(second, ask, bucket, error),
    }
}
