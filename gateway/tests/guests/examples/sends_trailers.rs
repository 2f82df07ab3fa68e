//! Sends a body and one trailer field, `x-checksum`; for `?all=1`, fields with blanks around their values, and in the
//! trailers what only a head may have.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{Fields, IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let all = query(&request, "all").is_some();
    let head = [("trailer", "x-checksum"), ("x-blanks", " \ta value \t")];
    let mut answer = Answer::start(
        out,
        200,
        head.get(..if all { 2 } else { 1 }).unwrap_or_default(),
    );
    answer.write(b"body");
    let trailers = Fields::new();
    let set = trailers.append("x-checksum", b"4");
    if all {
        let _ = trailers.append("x-blanks", b"\ta value ");
        for name in ["content-length", "content-type", "content-encoding"] {
            let _ = trailers.append(name, b"99");
        }
    }
    answer.finish(set.is_ok().then_some(trailers));
}
