//! Sends its own method, body and `x-test` header to the URL in `?to=` and answers what came back,
//! or `error: …`.
#![cfg(target_arch = "wasm32")]

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingRequest, ResponseOutparam, Scheme};
use wasmgate_test_guests::{
    Answer, OutgoingBodyWriter, RequestBody, answer, header, query, response_of, serve,
};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let to = query(&request, "to").unwrap_or_default();
    let (scheme, rest) = match to.split_once("://") {
        Some(("https", rest)) => (Scheme::Https, rest),
        Some((_, rest)) => (Scheme::Http, rest),
        None => return answer(out, 400, "?to= needs a URL"),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let fields = Fields::new();
    if let Some(value) = header(&request, "x-test") {
        let _ = fields.append("x-test", value.as_bytes());
    }
    let call = OutgoingRequest::new(fields);
    let _ = call.set_method(&request.method());
    let _ = call.set_scheme(Some(&scheme));
    let _ = call.set_authority(Some(authority));
    let _ = call.set_path_with_query(Some(if path.is_empty() { "/" } else { path }));
    let mut sent = OutgoingBodyWriter::of(&call);
    let pending = match outgoing_handler::handle(call, None) {
        Ok(pending) => pending,
        Err(code) => return answer(out, 200, &format!("error: {code:?}")),
    };
    let mut body = RequestBody::of(&request);
    while let Some(chunk) = body.chunk() {
        if !sent.write(&chunk) {
            break;
        }
    }
    sent.finish(None);
    let response = match response_of(&pending) {
        Ok(response) => response,
        Err(code) => return answer(out, 200, &format!("error: {code:?}")),
    };
    let mut passed_on = Answer::start(out, response.status(), &[]);
    let mut incoming = RequestBody::of_response(&response);
    while let Some(chunk) = incoming.chunk() {
        if !passed_on.write(&chunk) {
            return;
        }
    }
    passed_on.finish(None);
}
