//! Calls the URL in `?to=` and waits for the trailers of the answer, without reading its body.
#![cfg(target_arch = "wasm32")]

use wasip2::http::{
    outgoing_handler,
    types::{Fields, IncomingBody, IncomingRequest, OutgoingRequest, ResponseOutparam, Scheme},
};
use wasmgate_test_guests::{answer, query, response_of, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let to = query(&request, "to").unwrap_or_default();
    let call = OutgoingRequest::new(Fields::new());
    let _ = call.set_scheme(Some(&Scheme::Http));
    let _ = call.set_authority(to.strip_prefix("http://"));
    let _ = call.set_path_with_query(Some("/"));
    let pending = match outgoing_handler::handle(call, None) {
        Ok(pending) => pending,
        Err(code) => return answer(out, 200, &format!("error: {code:?}")),
    };
    match response_of(&pending) {
        Ok(response) => {
            if let Ok(body) = response.consume() {
                IncomingBody::finish(body).subscribe().block();
            }
            answer(out, 200, "the end");
        }
        Err(code) => answer(out, 200, &format!("error: {code:?}")),
    }
}
