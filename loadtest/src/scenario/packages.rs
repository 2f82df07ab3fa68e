//! Packages to measure with: many distinct ones made from one component, and
//! one that spins.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::gateway::Package;

/// The component model's preamble: magic, version 13, layer 1.
const COMPONENT_PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";
/// Name of the custom section that makes copies differ.
const SECTION_NAME: &[u8] = b"wasmgate-loadtest";
/// Id of a custom section in the binary format, for modules and components.
const CUSTOM_SECTION: u8 = 0;

/// A guest that never answers: its handler is one endless loop.
const SPINNER: &str = r#"
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $outparam))
  (core module $spinner
    (func (export "handle") (param i32 i32) (loop $forever (br $forever))))
  (core instance $spinner (instantiate $spinner))
  (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
    (canon lift (core func $spinner "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
"#;

/// Writes `count` copies of a component into `folder`, each with bytes of its
/// own and so with a digest and compiled code of its own, as packages routed
/// below `/p/0`, `/p/1`, ….
///
/// # Errors
/// When the component cannot be read, is none, or the copies cannot be written.
pub(super) fn distinct(component: &Path, path: &str, folder: &Path, count: usize) -> io::Result<Vec<Package>> {
    let original = fs::read(component)?;
    if !original.starts_with(COMPONENT_PREAMBLE) {
        let text = format!("{} is not a component", component.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    (0..count)
        .map(|number| {
            let source = folder.join(format!("p{number}.wasm"));
            fs::write(&source, numbered(&original, number as u64))?;
            Ok(Package::new(
                &format!("p{number}"),
                source,
                &format!("/p/{number}"),
                path,
            ))
        })
        .collect()
}

/// Writes the spinning component into `folder`.
///
/// # Errors
/// When it cannot be written.
pub(super) fn spinner(folder: &Path) -> io::Result<PathBuf> {
    let bytes = wat::parse_str(SPINNER).map_err(io::Error::other)?;
    let path = folder.join("spinner.wasm");
    fs::write(&path, bytes)?;
    Ok(path)
}

/// The component with a custom section holding `number` at its end.
fn numbered(original: &[u8], number: u64) -> Vec<u8> {
    let number = number.to_le_bytes();
    let length = 1 + SECTION_NAME.len() + number.len();
    let mut bytes = Vec::with_capacity(original.len() + length + 2);
    bytes.extend_from_slice(original);
    // Both lengths are below 128, where LEB128 is the byte itself.
    bytes.extend_from_slice(&[CUSTOM_SECTION, length as u8, SECTION_NAME.len() as u8]);
    bytes.extend_from_slice(SECTION_NAME);
    bytes.extend_from_slice(&number);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_differ_and_stay_components() {
        let folder = tempfile::tempdir().unwrap();
        let original = spinner(folder.path()).unwrap();
        let packages = distinct(&original, "/hello", folder.path(), 3).unwrap();
        let copies: Vec<_> = packages
            .iter()
            .map(|package| fs::read(&package.source).unwrap())
            .collect();
        assert!(copies[0] != copies[1] && copies[1] != copies[2]);
        assert_eq!(packages[2].route(), "/p/2/hello");
        let original = fs::read(original).unwrap();
        let section = &copies[2][original.len()..];
        assert_eq!(usize::from(section[1]), section.len() - 2);
        assert_eq!(usize::from(section[2]), SECTION_NAME.len());
    }

    #[test]
    fn a_core_module_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("module.wasm");
        fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
        let error = distinct(&module, "/", folder.path(), 1).unwrap_err();
        assert!(error.to_string().contains("not a component"));
    }
}
