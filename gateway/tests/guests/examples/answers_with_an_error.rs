//! Sets an error instead of a response.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{ErrorCode, IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::serve;

serve!(handle);

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    ResponseOutparam::set(
        out,
        Err(ErrorCode::InternalError(Some("secret detail".into()))),
    );
}
