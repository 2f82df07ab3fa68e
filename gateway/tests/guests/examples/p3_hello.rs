//! Answers a greeting in WASI 0.3 and reads nothing.
#![cfg(target_arch = "wasm32")]

use wasip3::http::types::{ErrorCode, Request, Response};
use wasmgate_test_guests::{p3::answer, serve_p3};

serve_p3!(handle);

async fn handle(_request: Request) -> Result<Response, ErrorCode> {
    Ok(answer(200, "Hello from a package\n"))
}
