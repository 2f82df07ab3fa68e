//! Hostile clients: what each does on its connection, and what it is to get.

mod connections;
mod http1;
mod http2;
mod slow;

use crate::{
    case::{Attack, Case},
    script::Script,
};

/// Every hostile client.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut all = slow::all();
    all.extend(connections::all());
    all.extend(http1::all());
    all.extend(http2::all());
    all
}

fn client(name: &'static str, does: &'static str, attackers: usize, script: Script) -> Case {
    Case::new(name, does, attackers, Attack::Script(script))
}

/// A GET's head.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// A POST's head with one more line.
fn post(path: &str, line: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\n{line}\r\n\r\n")
}
