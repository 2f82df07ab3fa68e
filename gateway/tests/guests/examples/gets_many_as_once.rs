//! Gets keys by `wasi:keyvalue/batch` as 0.2.0-draft2 had it at first: only what is there has its key in the answer.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    reason = "the bindings are made of interfaces that say what they are"
)]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, query, serve};

wit_bindgen::generate!({
    inline: r"
        package wasi:keyvalue@0.2.0-draft2;
        interface store {
            variant error { no-such-store, access-denied, other(string) }
            open: func(identifier: string) -> result<bucket, error>;
            resource bucket {
                set: func(key: string, value: list<u8>) -> result<_, error>;
            }
        }
        interface batch {
            use store.{bucket, error};
            get-many: func(bucket: borrow<bucket>, keys: list<string>)
                -> result<list<option<tuple<string, list<u8>>>>, error>;
        }
        world imports { import store; import batch; }
    ",
});

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let key = query(&request, "key").unwrap_or_default();
    let told = wasi::keyvalue::store::open("default").and_then(|bucket| {
        bucket.set(&key, b"here")?;
        wasi::keyvalue::batch::get_many(&bucket, &[key, "nowhere".to_owned()])
    });
    answer(out, 200, &format!("{told:?}"));
}
