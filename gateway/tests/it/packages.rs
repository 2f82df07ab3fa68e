//! The files that are accepted as packages, and the refusal of all others: before the socket opens, by name.

use std::process::Output;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::harness::{TestGateway, assert_refused, check, guest, handler_text, run};

/// A component whose handler, of this patch level of WASI 0.2, does nothing; with more definitions.
fn component(patch: u32, definitions: &str) -> Vec<u8> {
    let code = r#"(core module $code (func (export "handle") (param i32 i32)))
        (core instance $code (instantiate $code))"#;
    wat::parse_str(handler_text(patch, &format!("{definitions} {code}"), "")).unwrap()
}

/// Checks a configuration with one package of these bytes.
fn check_bytes(bytes: &[u8]) -> Output {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("suspect.wasm");
    std::fs::write(&source, bytes).unwrap();
    check(folder.path(), &source, "")
}

#[test]
fn a_pinned_component_is_taken_by_its_digest_alone() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("suspect.wasm");
    std::fs::write(&source, component(0, "")).unwrap();
    let digest = hex::encode(Sha256::digest(std::fs::read(&source).unwrap()));
    let pin = format!("sha256 = \"{digest}\"");
    let taken = check(folder.path(), &source, &pin);
    assert!(
        taken.status.success(),
        "{}",
        String::from_utf8_lossy(&taken.stderr)
    );

    // Compiled code is there now: it is not taken in place of what is pinned.
    std::fs::write(&source, component(1, "")).unwrap();
    assert!(check(folder.path(), &source, "").status.success());
    let found = hex::encode(Sha256::digest(std::fs::read(&source).unwrap()));
    assert_refused(
        &check(folder.path(), &source, &pin),
        &["suspect.wasm", "sha256", &found],
    );

    for none in ["", "e3b0c4", &digest.replace(&digest[..1], "x")] {
        let pin = format!("sha256 = \"{none}\"");
        let output = check(folder.path(), &source, &pin);
        assert_refused(&output, &["package.suspect.sha256", "SHA-256", "sha256sum"]);
    }
}

#[test]
fn a_core_module_is_refused() {
    assert_refused(
        &check_bytes(&wat::parse_str("(module)").unwrap()),
        &["suspect", "component"],
    );
}

#[test]
fn a_component_for_another_world_is_refused_with_the_export_it_lacks() {
    let command = wat::parse_str("(component)").unwrap();
    assert_refused(
        &check_bytes(&command),
        &["suspect", "wasi:http/incoming-handler"],
    );
}

#[test]
fn each_other_kind_of_wasm_is_refused_as_what_it_is() {
    let instance = |name: &str| format!(r#"(instance $i) (export "{name}" (instance $i))"#);
    let code = "(core module) ";
    for (text, words) in [
        (
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (func (export "_start")))"#
                .to_owned(),
            ["WASI 0.1", "wasm32-wasip2"],
        ),
        (
            format!("(component {code}{})", instance("wasi:http/handler@0.4.0")),
            ["a component of WASI 0.4.0", "wasi:http/proxy@0.2"],
        ),
        (
            r#"(component (import "wasi:http/types@0.3.0-rc-2026-01-06" (instance (export "f" (func)))))"#.to_owned(),
            [
                "0.3.0-rc-2026-01-06, a draft of WASI",
                "wasi:http/types@0.3.0",
            ],
        ),
        (
            format!(
                "(component {code}{})",
                instance("wasi:http/incoming-handler@0.2.0-rc-2023-12-05")
            ),
            [
                "0.2.0-rc-2023-12-05, a draft of WASI",
                "wasi:http/proxy@0.2",
            ],
        ),
        (
            format!(
                r#"(component {code}{} (export "wasi:http/incoming-handler@0.2.6" (instance $i)))"#,
                instance("wasi:http/handler@0.3.0")
            ),
            [
                "exports wasi:http/incoming-handler@0.2.6 and wasi:http/handler@0.3.0",
                "two worlds",
            ],
        ),
        (
            format!(
                r#"(component {code}(import "wasi:http/client@0.3.0" (instance (export "f" (func)))) {})"#,
                instance("wasi:http/incoming-handler@0.2.6")
            ),
            [
                "exports wasi:http/incoming-handler@0.2.6 and imports wasi:http/client@0.3.0",
                "two worlds",
            ],
        ),
        (
            format!("(component {code}{})", instance("wasi:cli/run@0.2.3")),
            ["it is a command", "cdylib"],
        ),
        (
            format!(
                "(component {code}{})",
                instance("fermyon:spin/inbound-http")
            ),
            ["made for Spin", "fermyon:spin/inbound-http"],
        ),
        (
            format!(
                r#"(component (import "fermyon:spin/key-value@2.0.0" (instance (export "f" (func)))) {})"#,
                instance("wasi:http/incoming-handler@0.2.0")
            ),
            ["made for Spin", "fermyon:spin/key-value@2.0.0"],
        ),
        (
            format!(
                "(component {code}{})",
                instance("acme:weather/forecast@1.0.0")
            ),
            ["wasi:http/incoming-handler", "acme:weather/forecast@1.0.0"],
        ),
        (
            "(component)".to_owned(),
            ["wasi:http/incoming-handler", "without code"],
        ),
    ] {
        let bytes = wat::parse_str(&text).unwrap();
        assert_refused(
            &check_bytes(&bytes),
            &["package.suspect.source", words[0], words[1]],
        );
    }
}

/// A component whose handler does nothing, with more core definitions.
fn component_with(definitions: &str) -> Vec<u8> {
    component(3, definitions)
}

#[test]
fn more_memory_than_the_package_may_have_is_found_before_any_request() {
    // 128 MiB are 2,048 pages.
    let needs = |pages: u32| {
        component_with(&format!(
            "(core module $large (memory {pages})) (core instance (instantiate $large))"
        ))
    };
    assert!(check_bytes(&needs(2000)).status.success());
    assert_refused(
        &check_bytes(&needs(2049)),
        &[
            "134283264 bytes of memory",
            "`limits.memory` allows 134217728",
            "raise `memory`",
        ],
    );
}

#[tokio::test]
async fn a_component_of_many_modules_is_served_by_either_engine() {
    let folder = TempDir::new().unwrap();
    let many = component_with(&format!(
        "(core module $part (table 10 funcref) (func (export \"f\"))) {}",
        "(core instance (instantiate $part)) ".repeat(30)
    ));
    let source = folder.path().join("many.wasm");
    std::fs::write(&source, many).unwrap();
    let gateway = TestGateway::builder()
        .package("pooled", &source, "engine = \"pool\"")
        .package("mapped", &source, "engine = \"copy-on-write\"")
        .route("/pooled", "pooled")
        .route("/mapped", "mapped")
        .start();
    for path in ["/pooled", "/mapped"] {
        let reply = gateway.get(path).await;
        let reason = reply.headers.get("x-wasmgate-error").cloned();
        assert_eq!(reason.unwrap(), "guest-no-response", "{path}");
    }
}

#[test]
fn more_parts_than_a_component_may_have_are_told_with_the_limit() {
    let parts = |definition: &str, count: usize| {
        component_with(&format!(
            "(core module $part {definition}) {}",
            "(core instance (instantiate $part)) ".repeat(count)
        ))
    };
    for (bytes, words) in [
        (
            parts("(memory 0)", 101),
            "it has 101 memories, and 100 are the most",
        ),
        (
            parts("(table 1 funcref) (table 1 funcref) (table 1 funcref)", 334),
            "it has 1002 tables, and 1000 are the most",
        ),
        (
            parts("", 1001),
            "instances of core modules, and 1000 are the most",
        ),
    ] {
        assert_refused(
            &check_bytes(&bytes),
            &["package.suspect.source", "limits for one component", words],
        );
    }
}

#[test]
fn an_import_that_is_not_offered_is_refused_by_its_name() {
    let import = r#"(import "acme:weather/forecast@1.0.0" (instance
        (export "today" (func (result u32)))))"#;
    assert_refused(
        &check_bytes(&component(3, import)),
        &["suspect", "acme:weather/forecast"],
    );
}

#[test]
fn a_truncated_component_is_refused() {
    let whole = std::fs::read(guest("hello")).unwrap();
    for length in [4, 8, 100, whole.len() / 2, whole.len() - 1] {
        assert_refused(&check_bytes(&whole[..length]), &["suspect"]);
    }
}

#[test]
fn bytes_that_are_not_wasm_are_refused() {
    assert_refused(
        &check_bytes(b"#!/bin/sh\necho no component\n"),
        &["suspect"],
    );
}

#[test]
fn an_empty_file_is_refused_as_such() {
    assert_refused(&check_bytes(b""), &["suspect", "empty"]);
}

#[test]
fn a_directory_is_refused_as_such() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("suspect");
    std::fs::create_dir(&source).unwrap();
    assert_refused(
        &check(folder.path(), &source, ""),
        &["suspect", "directory"],
    );
}

#[test]
fn a_missing_file_is_refused_by_its_path() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("nowhere.wasm");
    assert_refused(
        &check(folder.path(), &source, ""),
        &["suspect", "nowhere.wasm"],
    );
}

#[test]
fn all_bad_packages_are_told_in_one_run() {
    let folder = TempDir::new().unwrap();
    let [empty, module, missing] = ["empty.wasm", "module.wasm", "missing.wasm"].map(|name| folder.path().join(name));
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
