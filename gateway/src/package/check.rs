//! Checks of a component before it is compiled or served, each with its own message and remedy.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, types::ComponentItem};

use super::{
    PackageError,
    compiler::Uncompiled,
    snapshot::NoSnapshot,
    survey::Start,
    world::{Version, version},
};
use crate::{
    config::{Kind, Sha256Digest},
    engine::{MAX_CORE_INSTANCES, MAX_FUNCTIONS, MAX_MEMORIES, MAX_TABLES},
    interfaces,
};

/// `\0asm`, then version 13, layer 1: the component model's preamble as of today.
const COMPONENT_PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const WASM_MAGIC: [u8; 4] = *b"\0asm";
/// Layer 0 in the preamble's last half-word means a core module.
const CORE_MODULE_PREAMBLE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// Refuses bytes with another digest than the pinned one, if any.
pub(super) fn digest(bytes: &[u8], pinned: Option<Sha256Digest>, path: &Path) -> Result<(), PackageError> {
    let Some(pinned) = pinned else {
        return Ok(());
    };
    let found: Sha256Digest = Sha256::digest(bytes).into();
    if found == pinned {
        return Ok(());
    }
    Err(PackageError::OtherDigest {
        path: path.to_owned(),
        found: hex::encode(found),
        expected: hex::encode(pinned),
    })
}

/// What a source is by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A component.
    Component,
    /// A core module, which may be a program of WASI 0.1.
    Module,
}

/// Refuses bytes that are not of this kind, by their first eight bytes.
pub(super) fn preamble(bytes: &[u8], kind: Kind, path: &Path) -> Result<Form, PackageError> {
    let path = path.to_owned();
    if bytes.starts_with(&COMPONENT_PREAMBLE) {
        Ok(Form::Component)
    } else if bytes.starts_with(&CORE_MODULE_PREAMBLE) {
        if kind == Kind::Cgi {
            return Ok(Form::Module);
        }
        // The names of imported modules appear literally in the bytes.
        let names = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
        if names(b"wasi_snapshot_preview1") || names(b"wasi_unstable") {
            Err(PackageError::Preview1 { path })
        } else {
            Err(PackageError::CoreModule { path })
        }
    } else if bytes.starts_with(&WASM_MAGIC) {
        let error = "its preamble is cut short or of a version that is not known here".to_owned();
        Err(PackageError::Invalid { path, error })
    } else {
        Err(PackageError::NotWasm { path })
    }
}

/// Refuses a component whose instances cannot start, or have too many parts.
pub(super) fn start(start: &Start, allowed: u64, path: &Path) -> Result<(), PackageError> {
    let path = || path.to_owned();
    if start.is_unknown {
        let what = "it instantiates a component that it is given as a value, so that what it takes cannot be told";
        return Err(PackageError::Beyond {
            path: path(),
            what: what.to_owned(),
        });
    }
    for (has, most, what) in [
        (start.memories, MAX_MEMORIES, "memories"),
        (start.tables, MAX_TABLES, "tables"),
        (
            start.core_instances,
            MAX_CORE_INSTANCES,
            "instances of core modules",
        ),
        (
            start.functions,
            MAX_FUNCTIONS,
            "functions in all instances of its modules",
        ),
    ] {
        within(has, most, what, path())?;
    }
    let needed = start.memory.saturating_add(start.globals);
    if needed > allowed {
        return Err(PackageError::Memory {
            path: path(),
            needed,
            allowed,
        });
    }
    Ok(())
}

/// Refuses a component that would take too much of the pools.
pub(super) fn parts(component: &Component, path: &Path) -> Result<(), PackageError> {
    let Some(required) = component.resources_required() else {
        return Ok(());
    };
    let path = || path.to_owned();
    within(
        required.num_memories.into(),
        MAX_MEMORIES,
        "memories",
        path(),
    )?;
    within(required.num_tables.into(), MAX_TABLES, "tables", path())
}

fn within(has: u64, most: u32, what: &str, path: PathBuf) -> Result<(), PackageError> {
    if has <= u64::from(most) {
        return Ok(());
    }
    let what = format!("it has {has} {what}, and {most} are the most");
    Err(PackageError::Beyond { path, what })
}

/// Distinguishes invalid components from those that exceed the gateway's limits.
pub(super) fn uncompiled(error: &wasmtime::Error, path: &Path) -> PackageError {
    refused(format!("{error:#}"), path)
}

/// The same, from the compiler's message.
pub(super) fn refused(what: String, path: &Path) -> PackageError {
    let path = path.to_owned();
    // wasmtime has no type for this error.
    let limits = [
        "exceeds the configured maximum",
        "exceeds the limit of",
        "pooling allocator",
    ];
    if limits.iter().any(|words| what.contains(words)) {
        PackageError::Beyond { path, what }
    } else {
        PackageError::Invalid { path, error: what }
    }
}

/// The error for a component that was not compiled.
pub(super) fn not_compiled(why: Uncompiled, path: &Path) -> PackageError {
    let own = path.to_owned();
    match why {
        Uncompiled::Wrong(what) => refused(what, path),
        Uncompiled::NoSnapshot(why) => no_snapshot(why, path),
        Uncompiled::Time(limit) => PackageError::CompileTime { path: own, limit },
        Uncompiled::Memory(limit) => PackageError::CompileMemory { path: own, limit },
        Uncompiled::Room(limit) => PackageError::CompileRoom { path: own, limit },
        Uncompiled::Broken(error) => PackageError::CompilerBroken { path: own, error },
        Uncompiled::Machine(error) => PackageError::NoCompiler { path: own, error },
    }
}

/// The error for a failed snapshot.
pub(super) fn no_snapshot(error: NoSnapshot, path: &Path) -> PackageError {
    PackageError::Snapshot {
        path: path.to_owned(),
        why: error.why,
        what: error.what,
    }
}

/// Refuses a component whose imports are not all provided here, by their names.
pub(super) fn imports(imports: &[String], path: &Path) -> Result<(), PackageError> {
    let missing: Vec<_> = imports
        .iter()
        .filter(|name| is_missing(name))
        .map(|name| shown_import(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(PackageError::MissingImports {
        path: path.to_owned(),
        imports: missing.join(", "),
    })
}

/// Returns whether an interface is not provided here.
fn is_missing(name: &str) -> bool {
    let is_known = matches!(version(name), Some(Version::Wasi02 | Version::Wasi03));
    !is_known && !interfaces::offers(name)
}

fn shown_import(name: &str) -> String {
    match interfaces::versions(name) {
        Some(versions) => format!("`{name}` (of which {versions} are)"),
        None => format!("`{name}`"),
    }
}

/// The error for missing imports; `linking_error` is used if the interface is known and only its types do not match.
pub(super) fn missing_imports(component: &Component, path: &Path, linking_error: &wasmtime::Error) -> PackageError {
    let engine = component.engine();
    let missing = component
        .component_type()
        .imports(engine)
        .filter(|(name, item)| is_missing(name) && !matches!(item.ty, ComponentItem::Type(_)))
        .map(|(name, _)| shown_import(name))
        .collect::<Vec<_>>();
    let imports = if missing.is_empty() {
        format!("{linking_error:#}")
    } else {
        missing.join(", ")
    };
    PackageError::MissingImports {
        path: path.to_owned(),
        imports,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preamble_tells_components_modules_and_others_apart() {
        let check = |bytes: &[u8]| preamble(bytes, Kind::Http, Path::new("x.wasm"));
        assert!(check(b"\0asm\x0d\0\x01\0rest").is_ok());
        let program = preamble(b"\0asm\x01\0\0\0", Kind::Cgi, Path::new("x.wasm"));
        assert_eq!(program.unwrap(), Form::Module);
        assert!(matches!(
            check(b"\0asm\x01\0\0\0"),
            Err(PackageError::CoreModule { .. })
        ));
        assert!(matches!(
            check(b"\0asm\x0d"),
            Err(PackageError::Invalid { .. })
        ));
        assert!(matches!(check(b"MZ"), Err(PackageError::NotWasm { .. })));
    }
}
