//! Sends `?n=` requests to the URL in `?to=` without waiting for any of them, and answers how many were let out and how
//! many were refused; then waits for what `?hold=` milliseconds bring.
#![cfg(target_arch = "wasm32")]

use std::collections::BTreeMap;

use wasip2::{
    clocks::monotonic_clock,
    http::{
        outgoing_handler,
        types::{Fields, IncomingRequest, OutgoingRequest, ResponseOutparam, Scheme},
    },
};
use wasmgate_test_guests::{Answer, number, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let to = query(&request, "to").unwrap_or_default();
    let rest = to.strip_prefix("http://").unwrap_or(&to);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut pending = Vec::new();
    for _ in 0..number(&request, "n") {
        let call = OutgoingRequest::new(Fields::new());
        let _ = call.set_scheme(Some(&Scheme::Http));
        let _ = call.set_authority(Some(authority));
        let _ = call.set_path_with_query(Some(path));
        if let Ok(sent) = outgoing_handler::handle(call, None) {
            pending.push(sent);
        }
    }
    monotonic_clock::subscribe_duration(number(&request, "hold") * 1_000_000).block();
    let mut told = BTreeMap::<String, usize>::new();
    for sent in &pending {
        let became = match sent.subscribe().ready().then(|| sent.get()).flatten() {
            None => "pending".to_owned(),
            Some(Ok(Err(code))) => format!("{code:?}"),
            Some(_) => "answered".to_owned(),
        };
        *told.entry(became).or_default() += 1;
    }
    let mut answer = Answer::start(out, 200, &[]);
    answer.write(format!("{told:?}").as_bytes());
    answer.finish(None);
}
