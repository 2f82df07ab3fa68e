//! Interfaces that components may import in addition to `wasi:http` and WASI itself: proposals in draft versions. Each
//! is linked only for the components that import it, so that others pay nothing.

mod answer;
mod blobstore;
mod config;
mod handle;
mod keyvalue;
mod logging;
mod shape;

use wasmtime::component::{Component, Linker};

use crate::{config::PackageConfig, instance::HostState};

/// Returns whether an interface is offered here, by the name that a component imports.
pub(crate) fn offers(name: &str) -> bool {
    let all = keyvalue::OFFERED
        .iter()
        .chain(&config::OFFERED)
        .chain(&logging::OFFERED)
        .chain(&blobstore::OFFERED);
    all.into_iter().any(|offered| *offered == name)
}

/// The versions that are offered of the package that an interface is in, if any is.
pub(crate) fn versions(name: &str) -> Option<&'static str> {
    let (package, _) = name.split_once('/')?;
    match package {
        "wasi:keyvalue" => Some("0.2.0-draft and 0.2.0-draft2"),
        "wasi:config" => Some("store 0.2.0-rc.1, 0.2.0-draft and 0.2.0-draft-2024-09-27, and runtime 0.2.0-draft"),
        "wasi:blobstore" => Some("0.2.0-draft"),
        "wasi:logging" => Some("0.1.0-draft and the one without a version"),
        _ => None,
    }
}

/// A sentence for each interface that a package's component imports and that is closed to it.
pub(crate) fn closed(imports: &[String], package: &PackageConfig) -> Vec<String> {
    let imported = |offered: &[&str]| {
        let mut imports = imports.iter();
        imports.find(|name| offered.contains(&name.as_str()))
    };
    let kinds = [
        (
            imported(&keyvalue::OFFERED).filter(|_| package.keyvalue.is_none()),
            "keyvalue",
            "bucket",
            "keyvalue = { default = \"statestore\" }",
        ),
        (
            imported(&blobstore::OFFERED).filter(|_| package.blobstore.is_empty()),
            "blobstore",
            "container",
            "blobstore = { images = { folder = \"uploads\" } }",
        ),
    ];
    let closed = kinds.into_iter().filter_map(|(imported, key, what, example)| {
        let (imported, package) = (imported?, &package.name);
        Some(format!(
            "package {package} imports {imported} and has no `{key}`: every {what} is closed to it; give it some by {example}"
        ))
    });
    closed.collect()
}

/// A linker that has what `linker` has and the interfaces that the component imports of those that are offered; `None`
/// if it imports none.
///
/// # Errors
/// When the linker does not take one.
pub(crate) fn link(linker: &Linker<HostState>, component: &Component) -> wasmtime::Result<Option<Linker<HostState>>> {
    let mut extended = None;
    for (name, _) in component.component_type().imports(component.engine()) {
        if offers(name) {
            let linker = extended.get_or_insert_with(|| linker.clone());
            if config::OFFERED.contains(&name) {
                config::link(linker, name)?;
            } else if logging::OFFERED.contains(&name) {
                logging::link(linker, name)?;
            } else if blobstore::OFFERED.contains(&name) {
                blobstore::link(linker, name)?;
            } else {
                keyvalue::link(linker, name, component)?;
            }
        }
    }
    Ok(extended)
}
