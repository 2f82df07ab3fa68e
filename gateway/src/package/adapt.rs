//! Adapts WASI 0.1 programs: wasmtime's released adapter turns core modules into components of WASI 0.2.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as ADAPTER,
};
use wasmparser::{BinaryReaderError, ExternalKind, Parser, Payload};
use wit_component::ComponentEncoder;

/// The entry point of a program.
const START: &str = "_start";

/// The cache key of components made with this adapter by this version of the gateway.
pub(super) static KEY: LazyLock<String> = LazyLock::new(|| {
    let digest = hex::encode(Sha256::digest(ADAPTER));
    let digest = digest.get(..16).unwrap_or(&digest);
    format!("component-{}-{digest}", env!("CARGO_PKG_VERSION"))
});

/// Turns a program into a component.
///
/// # Errors
/// With the reason why it cannot be done.
pub(super) fn component(module: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = ComponentEncoder::default();
    let made = encoder.validate(true).module(module);
    let made = made.and_then(|encoder| encoder.adapter(NAME, ADAPTER));
    let component = made.and_then(|encoder| encoder.encode());
    component.map_err(|error| format!("{error:#}"))
}

/// Returns why a module is not a WASI 0.1 program, if it is not.
///
/// # Errors
/// When the bytes cannot be read as WebAssembly.
pub(super) fn lack(module: &[u8]) -> Result<Option<String>, BinaryReaderError> {
    let (mut has_start, mut foreign) = (false, Vec::<String>::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    if import.module != NAME && !foreign.iter().any(|known| known == import.module) {
                        foreign.push(import.module.to_owned());
                    }
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    has_start |= export.name == START && export.kind == ExternalKind::Func;
                }
            }
            _ => {}
        }
    }
    Ok(if !foreign.is_empty() {
        let names = foreign.join("`, `");
        Some(format!(
            "it imports from `{names}`, and there is `{NAME}` alone"
        ))
    } else if !has_start {
        Some(format!("it exports no function `{START}`"))
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn a_program_becomes_a_component_and_what_is_none_is_told() {
        let program = module(
            r#"(module
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1)
                (func (export "_start") (call $exit (i32.const 0))))"#,
        );
        assert_eq!(lack(&program).unwrap(), None);
        let made = component(&program).unwrap();
        assert!(made.starts_with(b"\0asm\x0d\0\x01\0"));
        for (text, word) in [
            (
                r#"(module (import "wasi_unstable" "f" (func)) (func (export "_start")))"#,
                "`wasi_unstable`",
            ),
            (
                r#"(module (import "env" "f" (func)) (import "wasi" "thread-spawn" (func)) (func (export "_start")))"#,
                "`env`, `wasi`",
            ),
            (r#"(module (func (export "_initialize")))"#, "`_start`"),
            (
                r#"(module (global (export "_start") i32 (i32.const 1)))"#,
                "`_start`",
            ),
        ] {
            let lack = lack(&module(text)).unwrap().unwrap();
            assert!(lack.contains(word), "{lack}");
        }
        assert!(lack(b"\0asm\x01\0\0\0\xff").is_err());
        assert!(component(&module(r#"(module (import "env" "f" (func)))"#)).is_err());
    }
}
