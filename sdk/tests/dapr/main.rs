//! Dapr's building blocks, through the public surface only.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is a test's failure, in its helpers too"
)]

mod calls;
mod deliveries;
mod errors;
mod state;

use std::{cell::RefCell, rc::Rc};

use serde_json::Value;
use wasmgate_sdk::{
    Response,
    testing::{self, Outbound, block_on},
};

/// One call as Dapr would get it.
#[derive(Debug)]
struct Seen {
    line: String,
    headers: wasmgate_sdk::HeaderMap,
    body: Vec<u8>,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Answers every call alike and keeps what was asked.
fn record(answer: impl Fn() -> Response + 'static) -> (Rc<RefCell<Vec<Seen>>>, Outbound) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let keep = Rc::clone(&seen);
    let outbound = testing::outbound(move |mut request| {
        assert_eq!(request.authority().as_deref(), Some("localhost:3500"));
        let query = match request.query_string() {
            "" => String::new(),
            query => format!("?{query}"),
        };
        keep.borrow_mut().push(Seen {
            line: format!("{} {}{query}", request.method(), request.path()),
            headers: request.headers().clone(),
            body: block_on(request.bytes()).unwrap(),
        });
        Ok(answer())
    });
    (seen, outbound)
}
