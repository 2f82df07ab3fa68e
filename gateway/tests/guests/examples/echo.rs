//! Streams the request body back as it arrives, with its content-type, length and trailers.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, RequestBody, header, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let passed_on: Vec<(&str, String)> = ["content-type", "content-length", "trailer"]
        .into_iter()
        .filter_map(|name| Some((name, header(&request, name)?)))
        .collect();
    let headers: Vec<(&str, &str)> = passed_on
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut answer = Answer::start(out, 200, &headers);
    let mut body = RequestBody::of(&request);
    while let Some(chunk) = body.chunk() {
        if !answer.write(&chunk) {
            return;
        }
    }
    answer.finish(body.trailers());
}
