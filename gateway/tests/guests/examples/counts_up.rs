//! Adds one to the number under `count` in its state, against all others that do the same, and answers how often it
//! had to begin again.
#![cfg(target_arch = "wasm32")]

use serde_json::json;
use wasip2::http::types::{IncomingRequest, Method, ResponseOutparam};
use wasmgate_test_guests::{answer, dapr, serve};

serve!(handle);

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    for tries in 0.. {
        match count_up() {
            Ok(true) => return answer(out, 200, &tries.to_string()),
            Ok(false) => {}
            Err(error) => return answer(out, 500, &error),
        }
    }
}

/// Whether nobody was faster.
fn count_up() -> Result<bool, String> {
    let read = dapr::call(&Method::Get, "/v1.0/state/statestore/count", &[], b"")?;
    let (count, etag) = match read.status {
        200 => {
            let count: u64 = serde_json::from_slice(&read.body).map_err(|e| e.to_string())?;
            (count, read.header("etag"))
        }
        204 => (0, None),
        status => return Err(format!("reading: {status}")),
    };
    let mut item = json!({
        "key": "count", "value": count + 1, "options": { "concurrency": "first-write" },
    });
    if let (Some(etag), Some(item)) = (etag, item.as_object_mut()) {
        item.insert("etag".to_owned(), etag.into());
    }
    let saved = dapr::call(
        &Method::Post,
        "/v1.0/state/statestore",
        &[],
        json!([item]).to_string().as_bytes(),
    )?;
    match saved.status {
        204 => Ok(true),
        409 => Ok(false),
        status => Err(format!(
            "saving: {status} {}",
            String::from_utf8_lossy(&saved.body)
        )),
    }
}
