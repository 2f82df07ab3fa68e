//! What a component must be before it is compiled or served, told apart so that each mistake has its remedy.

use std::path::Path;

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::PackageError;

/// `\0asm`, then version 13, layer 1: the component model's preamble as of today.
const COMPONENT_PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const WASM_MAGIC: [u8; 4] = *b"\0asm";
/// Layer 0 in the preamble's last half-word means a core module.
const CORE_MODULE_PREAMBLE: [u8; 8] = *b"\0asm\x01\0\0\0";

const HANDLER: &str = "wasi:http/incoming-handler";

/// The packages of interfaces that the gateway offers, at any patch level of 0.2.
const OFFERED: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// Refuses bytes that are no component, by their first eight bytes.
pub(super) fn preamble(bytes: &[u8], path: &Path) -> Result<(), PackageError> {
    let path = path.to_owned();
    if bytes.starts_with(&COMPONENT_PREAMBLE) {
        Ok(())
    } else if bytes.starts_with(&CORE_MODULE_PREAMBLE) {
        Err(PackageError::CoreModule { path })
    } else if bytes.starts_with(&WASM_MAGIC) {
        let error = "its preamble is cut short or of a version that is not known here".to_owned();
        Err(PackageError::Invalid { path, error })
    } else {
        Err(PackageError::NotWasm { path })
    }
}

/// Refuses a component that exports no HTTP handler of WASI 0.2.
pub(super) fn exports_handler(component: &Component, path: &Path) -> Result<(), PackageError> {
    let engine = component.engine();
    let names = component
        .component_type()
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect::<Vec<_>>();
    if names.iter().any(|name| is_interface_0_2(name, HANDLER)) {
        return Ok(());
    }
    let instead = if names
        .iter()
        .any(|name| name.starts_with("wasi:http/handler@0.3"))
    {
        "it is a handler of WASI 0.3, which this gateway does not run".to_owned()
    } else if names.iter().any(|name| name.starts_with("wasi:cli/run")) {
        "it is a command".to_owned()
    } else if names.is_empty() {
        "it exports nothing".to_owned()
    } else {
        format!("it exports {}", names.join(", "))
    };
    Err(PackageError::NoHandler {
        path: path.to_owned(),
        instead,
    })
}

/// Names the imports that no one here provides; `linking_error` stands in where the interface is known and only
/// its shape does not fit.
pub(super) fn missing_imports(
    component: &Component,
    path: &Path,
    linking_error: &wasmtime::Error,
) -> PackageError {
    let engine = component.engine();
    let missing = component
        .component_type()
        .imports(engine)
        .filter(|(name, item)| {
            !OFFERED
                .iter()
                .any(|offered| name.starts_with(offered) && name.contains("@0.2."))
                && !matches!(item.ty, ComponentItem::Type(_))
        })
        .map(|(name, _)| format!("`{name}`"))
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

fn is_interface_0_2(name: &str, interface: &str) -> bool {
    name.strip_prefix(interface)
        .is_some_and(|version| version.starts_with("@0.2."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preamble_tells_components_modules_and_others_apart() {
        let check = |bytes: &[u8]| preamble(bytes, Path::new("x.wasm"));
        assert!(check(b"\0asm\x0d\0\x01\0rest").is_ok());
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

    #[test]
    fn any_patch_level_of_0_2_is_the_handler_and_no_other_minor() {
        assert!(is_interface_0_2(
            "wasi:http/incoming-handler@0.2.0",
            HANDLER
        ));
        assert!(is_interface_0_2(
            "wasi:http/incoming-handler@0.2.99",
            HANDLER
        ));
        assert!(!is_interface_0_2(
            "wasi:http/incoming-handler@0.3.0",
            HANDLER
        ));
        assert!(!is_interface_0_2(
            "wasi:http/incoming-handler-x@0.2.0",
            HANDLER
        ));
    }
}
