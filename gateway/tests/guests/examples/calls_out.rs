//! Sends its own method, body and `x-test` header to the URL in `?to=` and answers what came back,
//! or `error: …`. `?method=` sends another method, `?bodyless=` takes no body of the request at all, and `?connect=`,
//! `?first=` and `?between=` are time-outs in milliseconds.
#![cfg(target_arch = "wasm32")]

use wasip2::http::{
    outgoing_handler,
    types::{Fields, IncomingRequest, Method, OutgoingRequest, RequestOptions, ResponseOutparam, Scheme},
};
use wasmgate_test_guests::{
    Answer, OutgoingBodyWriter, RequestBody, answer, header, parameter, response_of, serve, target,
};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    // Asked for once: what this costs is on record.
    let target = target(&request);
    let to = parameter(&target, "to").unwrap_or_default();
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
    let method = parameter(&target, "method").map_or_else(
        || request.method(),
        |method| Method::Other(method.to_owned()),
    );
    let _ = call.set_method(&method);
    let _ = call.set_scheme(Some(&scheme));
    let _ = call.set_authority(Some(authority));
    let _ = call.set_path_with_query(Some(if path.is_empty() { "/" } else { path }));
    let bodyless = parameter(&target, "bodyless").is_some();
    let sent = (!bodyless).then(|| OutgoingBodyWriter::of(&call));
    let pending = match outgoing_handler::handle(call, options(&target)) {
        Ok(pending) => pending,
        Err(code) => return answer(out, 200, &format!("error: {code:?}")),
    };
    let mut body = RequestBody::of(&request);
    if let Some(mut sent) = sent {
        while let Some(chunk) = body.chunk() {
            if !sent.write(&chunk) {
                break;
            }
        }
        sent.finish(None);
    }
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
    if let Some(code) = incoming.error() {
        passed_on.write(format!("error in the body: {code:?}").as_bytes());
    }
    passed_on.finish(None);
}

/// The time-outs in the target, if it has any.
fn options(target: &str) -> Option<RequestOptions> {
    let nanoseconds = |key| Some(parameter(target, key)?.parse::<u64>().ok()? * 1_000_000);
    let [connect, first, between] = ["connect", "first", "between"].map(nanoseconds);
    connect.or(first).or(between)?;
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(connect);
    let _ = options.set_first_byte_timeout(first);
    let _ = options.set_between_bytes_timeout(between);
    Some(options)
}
