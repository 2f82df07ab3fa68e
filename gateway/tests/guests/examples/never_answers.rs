//! Returns without setting a response.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::serve;

serve!(handle);

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    drop(out);
}
