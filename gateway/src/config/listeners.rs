//! Checks that no two listeners use the same port.

use std::{collections::BTreeMap, net::SocketAddr};

use wasmgate_common::{Code, Diagnostic};

use super::{
    dapr::DaprConfig,
    reader::{Notes, Spot},
    server::Server,
};

/// A listener: where its address was said, and the address.
pub(crate) type Listener = (&'static str, SocketAddr);

/// Notes listeners that would take each other's port.
pub(super) fn check(notes: &Notes<'_>, positions: &BTreeMap<String, Spot>, server: &Server, dapr: &DaprConfig) {
    let mut listeners = vec![
        ("server.listen", server.listen),
        ("server.admin", server.admin),
    ];
    listeners.extend(dapr.listen.map(|address| ("dapr.listen", address)));
    for ((key, _), (other, _), wrong) in clashes(listeners) {
        // At most one of the two is a default: the defaults do not clash.
        let written = if positions.contains_key(key) {
            key
        } else {
            other
        };
        notes.add(positions.get(written).cloned(), written, wrong);
    }
}

/// Listeners that would take the port of one before them, each with that one and what to tell.
pub(crate) fn clashes(mut listeners: Vec<Listener>) -> Vec<(Listener, Listener, Diagnostic)> {
    let mut found = Vec::new();
    while let Some((key, address)) = listeners.pop() {
        let Some((other, taken)) = listeners
            .iter()
            .copied()
            .find(|(_, other)| clash(address, *other))
        else {
            continue;
        };
        let wrong = Diagnostic::new(
            Code::Conflict,
            format!("{key} ({address}) and {other} ({taken}) take the same port"),
            "give each listener its own port, or 0 to let the system choose",
        );
        found.push(((key, address), (other, taken), wrong));
    }
    found
}

/// Returns whether two listeners cannot be open at once: one port, and one address or one for all addresses.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let same_address = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_address
}
