//! `wasi:keyvalue` on the state stores of the building blocks: a package's `keyvalue` has the buckets that it may open,
//! and every operation is a call of the Dapr API in the package's name, with its quotas, metrics and trace.
//!
//! Two versions are in use, with different types in some places: 0.2.0-draft (wasmtime, wasmCloud) and 0.2.0-draft2
//! (Spin, and the proposal itself).

mod atomics;
mod batch;
mod bucket;
mod error;
mod store;
mod value;

use wasmtime::component::{Component, Linker, types};

use super::shape;
use crate::instance::HostState;
use error::Error;

/// The interfaces, by the names that components import.
pub(super) const OFFERED: [&str; 6] = [
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:keyvalue/atomics@0.2.0-draft",
    "wasi:keyvalue/batch@0.2.0-draft",
    "wasi:keyvalue/store@0.2.0-draft2",
    "wasi:keyvalue/atomics@0.2.0-draft2",
    "wasi:keyvalue/batch@0.2.0-draft2",
];

/// Puts one of the interfaces into a linker, in the shape in which the component imports it.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link(linker: &mut Linker<HostState>, name: &str, component: &Component) -> wasmtime::Result<()> {
    let mut instance = linker.instance(name)?;
    match name {
        "wasi:keyvalue/store@0.2.0-draft" => store::link::<u64>(&mut instance),
        "wasi:keyvalue/store@0.2.0-draft2" => store::link::<String>(&mut instance),
        "wasi:keyvalue/atomics@0.2.0-draft" => atomics::link_increment::<u64>(&mut instance),
        "wasi:keyvalue/atomics@0.2.0-draft2" => {
            atomics::link_increment::<i64>(&mut instance)?;
            atomics::link_cas(&mut instance)
        }
        _ if has_each_key(component, name) => batch::link::<batch::EachKey>(&mut instance),
        _ => batch::link::<batch::OnlyFound>(&mut instance),
    }
}

/// Returns whether `get-many` of this interface answers with every key that it was asked for: the draft was changed
/// under its name.
fn has_each_key(component: &Component, name: &str) -> bool {
    let answer = shape::result_of(component, name, "get-many");
    let Some(types::Type::Result(answer)) = answer else {
        return false;
    };
    match answer.ok() {
        Some(types::Type::List(items)) => matches!(items.ty(), types::Type::Tuple(_)),
        _ => false,
    }
}
