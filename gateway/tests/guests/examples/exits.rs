//! Exits with success, or with failure if there is `?fails=`, before its answer, `?when=during` or `?when=after` it.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let code = i32::from(query(&request, "fails").is_some());
    let when = query(&request, "when");
    if when.is_none() {
        std::process::exit(code);
    }
    let mut answer = Answer::start(out, 200, &[]);
    answer.write(b"an answer");
    if when.as_deref() == Some("after") {
        answer.finish(None);
    }
    std::process::exit(code);
}
