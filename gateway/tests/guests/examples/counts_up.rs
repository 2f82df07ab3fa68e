//! For a POST adds one to the number under `count` in its state, against all others that do the same, and answers how
//! often it had to begin again; for a GET answers the number.
#![cfg(target_arch = "wasm32")]

use serde_json::json;
use wasip2::http::types::{IncomingRequest, Method, ResponseOutparam};
use wasmgate_test_guests::{answer, dapr, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    if matches!(request.method(), Method::Get) {
        return match read() {
            Ok((count, _)) => answer(out, 200, &count.to_string()),
            Err(error) => answer(out, 500, &error),
        };
    }
    for tries in 0.. {
        match count_up() {
            Ok(true) => return answer(out, 200, &tries.to_string()),
            Ok(false) => {}
            Err(error) => return answer(out, 500, &error),
        }
    }
}

/// Returns whether nobody was faster.
fn count_up() -> Result<bool, String> {
    let (count, etag) = read()?;
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

/// The number, and its ETag if there is one.
fn read() -> Result<(u64, Option<String>), String> {
    let read = dapr::call(&Method::Get, "/v1.0/state/statestore/count", &[], b"")?;
    match read.status {
        200 => {
            let count = serde_json::from_slice(&read.body).map_err(|error| error.to_string())?;
            Ok((count, read.header("etag")))
        }
        204 => Ok((0, None)),
        status => Err(format!("reading: {status}")),
    }
}
