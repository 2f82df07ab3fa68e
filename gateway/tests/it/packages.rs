//! What is accepted as a package, and how the rest is refused: before the socket opens, by name.

use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::harness::{TestGateway, guest, run};

/// `EX_USAGE`: what a mistake in the configuration or in a package ends with.
const USAGE: i32 = 64;

/// A component that exports the HTTP handler of one WASI 0.2 patch level and never answers; `import`
/// goes before the rest.
fn component(patch: u32, import: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
          {import}
          (import "wasi:http/types@0.2.{patch}" (instance $types
            (export "incoming-request" (type (sub resource)))
            (export "response-outparam" (type (sub resource)))))
          (alias export $types "incoming-request" (type $request))
          (alias export $types "response-outparam" (type $outparam))
          (core module $code (func (export "handle") (param i32 i32)))
          (core instance $instance (instantiate $code))
          (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
            (canon lift (core func $instance "handle")))
          (instance $handler (export "handle" (func $handle)))
          (export "wasi:http/incoming-handler@0.2.{patch}" (instance $handler)))"#
    );
    wat::parse_str(text).unwrap()
}

/// Checks a configuration with one package of these bytes.
fn check(bytes: &[u8]) -> Output {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("suspect.wasm");
    std::fs::write(&source, bytes).unwrap();
    check_source(folder.path(), &source)
}

fn check_source(folder: &Path, source: &Path) -> Output {
    let toml = TestGateway::builder()
        .cache(&folder.join("compiled"))
        .package("suspect", source, "")
        .route("/suspect", "suspect")
        .toml();
    std::fs::write(folder.join("wasmgate.toml"), toml).unwrap();
    run(folder, &["check"])
}

#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(USAGE), "{told}");
    for word in words {
        assert!(told.contains(word), "nothing about {word} in:\n{told}");
    }
}

#[test]
fn a_core_module_is_refused() {
    assert_refused(
        &check(&wat::parse_str("(module)").unwrap()),
        &["suspect", "component"],
    );
}

#[test]
fn a_component_for_another_world_is_refused_with_the_export_it_lacks() {
    let command = wat::parse_str("(component)").unwrap();
    assert_refused(&check(&command), &["suspect", "wasi:http/incoming-handler"]);
}

#[test]
fn an_import_that_is_not_offered_is_refused_by_its_name() {
    let import = r#"(import "acme:weather/forecast@1.0.0" (instance
        (export "today" (func (result u32)))))"#;
    assert_refused(
        &check(&component(3, import)),
        &["suspect", "acme:weather/forecast"],
    );
}

#[test]
fn a_truncated_component_is_refused() {
    let whole = std::fs::read(guest("hello")).unwrap();
    for length in [4, 8, 100, whole.len() / 2, whole.len() - 1] {
        assert_refused(&check(&whole[..length]), &["suspect"]);
    }
}

#[test]
fn bytes_that_are_not_wasm_are_refused() {
    assert_refused(&check(b"#!/bin/sh\necho no component\n"), &["suspect"]);
}

#[test]
fn an_empty_file_is_refused_as_such() {
    assert_refused(&check(b""), &["suspect", "empty"]);
}

#[test]
fn a_directory_is_refused_as_such() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("suspect");
    std::fs::create_dir(&source).unwrap();
    assert_refused(
        &check_source(folder.path(), &source),
        &["suspect", "directory"],
    );
}

#[test]
fn a_missing_file_is_refused_by_its_path() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("nowhere.wasm");
    assert_refused(
        &check_source(folder.path(), &source),
        &["suspect", "nowhere.wasm"],
    );
}

#[test]
fn all_bad_packages_are_told_in_one_run() {
    let folder = TempDir::new().unwrap();
    let [empty, module, missing] =
        ["empty.wasm", "module.wasm", "missing.wasm"].map(|name| folder.path().join(name));
    std::fs::write(&empty, b"").unwrap();
    std::fs::write(&module, wat::parse_str("(module)").unwrap()).unwrap();
    let toml = TestGateway::builder()
        .cache(&folder.path().join("compiled"))
        .package("first", &empty, "")
        .package("second", &module, "")
        .package("third", &missing, "")
        .package("good", &guest("hello"), "")
        .route("/1", "first")
        .route("/2", "second")
        .route("/3", "third")
        .route("/4", "good")
        .toml();
    std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
    for command in ["check", "up"] {
        let output = run(folder.path(), &[command]);
        assert_refused(&output, &["first", "second", "third"]);
        assert!(!String::from_utf8_lossy(&output.stdout).contains("listening on"));
    }
}

#[tokio::test]
async fn any_patch_level_of_the_handler_is_served() {
    let folder = TempDir::new().unwrap();
    for patch in [0, 1, 6, 12] {
        let source = folder.path().join(format!("patch-{patch}.wasm"));
        std::fs::write(&source, component(patch, "")).unwrap();
        let gateway = TestGateway::builder()
            .package("patched", &source, "")
            .route("/patched", "patched")
            .start();
        gateway
            .get("/patched")
            .await
            .assert_error(502, "guest-no-response");
    }
}
