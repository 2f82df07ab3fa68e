//! A guest of WASI 0.3 that asks at the doors beside it: keys, configuration, the log, and a folder.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    reason = "the bindings are made of interfaces that say what they are"
)]

use std::fs;

use wasip3::http::types::{ErrorCode, Request, Response};
use wasmgate_test_guests::{
    p3::{answer, target},
    serve_p3,
};

use crate::doors::wasi::{
    config::store as config,
    keyvalue::{atomics, store},
    logging::logging,
};

mod doors {
    wit_bindgen::generate!({
        inline: r"
            package test:doors;
            world imports {
                import wasi:keyvalue/store@0.2.0-draft2;
                import wasi:keyvalue/atomics@0.2.0-draft2;
                import wasi:config/store@0.2.0-rc.1;
                import wasi:logging/logging@0.1.0-draft;
            }
            package wasi:keyvalue@0.2.0-draft2 {
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
            }
            package wasi:config@0.2.0-rc.1 {
                interface store {
                    variant error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, error>;
                    get-all: func() -> result<list<tuple<string, string>>, error>;
                }
            }
            package wasi:logging@0.1.0-draft {
                interface logging {
                    enum level { trace, debug, info, warn, error, critical }
                    log: func(level: level, context: string, message: string);
                }
            }
        ",
        world: "test:doors/imports",
        generate_all,
    });
}

serve_p3!(handle);

async fn handle(request: Request) -> Result<Response, ErrorCode> {
    // What the building blocks ask is no visit.
    if target(&request).starts_with("/dapr/") {
        return Ok(answer(404, "nothing is subscribed to"));
    }
    let told = told().unwrap_or_else(|error| error);
    logging::log(logging::Level::Warn, "visits", &told);
    Ok(answer(200, &told))
}

/// The visit's number, the greeting, and the page; or the first door that stayed closed.
fn told() -> Result<String, String> {
    let closed = |error: store::Error| format!("{error:?}");
    let bucket = store::open("default").map_err(closed)?;
    let visit = atomics::increment(&bucket, "visits", 1).map_err(closed)?;
    bucket
        .set("last", visit.to_string().as_bytes())
        .map_err(closed)?;
    let last = bucket.get("last").map_err(closed)?.unwrap_or_default();
    let greeting = config::get("GREETING").map_err(|error| format!("{error:?}"))?;
    let page = fs::read_to_string("/page.txt").map_err(|error| format!("{:?}", error.kind()))?;
    Ok(format!(
        "{} {visit} {} {page}",
        greeting.unwrap_or_default(),
        String::from_utf8_lossy(&last)
    ))
}
