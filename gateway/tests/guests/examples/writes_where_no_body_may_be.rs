//! Answers `?status=` and writes `?bytes=` of body, whether the response may have one or not; `?length=` announces
//! others.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, number, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let length = query(&request, "length");
    let headers: Vec<(&str, &str)> = length
        .iter()
        .map(|length| ("content-length", length.as_str()))
        .collect();
    let (status, bytes) = (number(&request, "status"), number(&request, "bytes"));
    let mut answer = Answer::start(out, status as u16, &headers);
    // More than the host buffers: an end is reached only if somebody reads.
    let chunk = [b'x'; 4096];
    let mut left = bytes as usize;
    while left > 0 {
        let piece = chunk.get(..left).unwrap_or(&chunk);
        assert!(answer.write(piece), "nobody reads the body");
        left -= piece.len();
    }
    answer.finish(None);
    println!("written to the end");
}
