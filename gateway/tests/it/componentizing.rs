//! `wasmgate componentize`: what compilers make that know nothing of components becomes one, and is served.

use std::{fs, path::Path, process::Output};

use tempfile::TempDir;

use crate::harness::{TestGateway, command, run};

/// `EX_USAGE`, `EX_SOFTWARE` and `EX_CANTCREAT`.
const USAGE: i32 = 64;
const NOT_BUILT: i32 = 70;
const CANNOT_CREATE: i32 = 73;

/// A module as a compiler for WASI 0.1 makes it: it asks WASI 0.1 for a byte of randomness, and answers 204.
const MODULE: &str = r#"(module
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi:http/types@0.2.10" "[constructor]fields" (func $fields (result i32)))
    (import "wasi:http/types@0.2.10" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
    (import "wasi:http/types@0.2.10" "[method]outgoing-response.set-status-code"
        (func $status (param i32 i32) (result i32)))
    (import "wasi:http/types@0.2.10" "[static]response-outparam.set"
        (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "wasi:http/incoming-handler@0.2.10#handle") (param $request i32) (param $out i32)
        (local $made i32)
        (if (call $random (i32.const 0) (i32.const 1)) (then unreachable))
        (local.set $made (call $response (call $fields)))
        (drop (call $status (local.get $made) (i32.const 204)))
        (call $set (local.get $out) (i32.const 0) (local.get $made)
            (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))"#;

fn module(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), wat::parse_str(text).unwrap()).unwrap();
}

fn componentize(folder: &Path, module: &str, output: &str) -> Output {
    run(folder, &["componentize", module, "--output", output])
}

#[tokio::test]
async fn a_core_module_with_the_names_of_wasi_http_becomes_a_component_that_answers() {
    let folder = TempDir::new().unwrap();
    module(folder.path(), "module.wasm", MODULE);
    let made = componentize(folder.path(), "module.wasm", "app.wasm");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    assert!(String::from_utf8_lossy(&made.stdout).starts_with("app.wasm: "));
    let toml = "[package.app]\nsource = \"app.wasm\"\n[[route]]\npath = \"/\"\npackage = \"app\"\n";
    fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
    let options = ["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let gateway = TestGateway::spawn(command(folder.path(), &options));
    assert_eq!(gateway.get("/").await.status, 204);
}

/// Go's heap grows in one piece: pages that somebody else takes behind it would be taken for its own.
#[tokio::test]
async fn what_is_between_wasi_0_1_and_0_2_stays_in_the_room_that_a_module_keeps_for_it() {
    const ROOM: &str = r#"(data (i32.const 65536) "wasmgate: memory of the adapter.")"#;
    let watched = MODULE
        .replace(
            "(memory (export \"memory\") 1)",
            &format!("(global (mut i32) (i32.const 7)) (memory (export \"memory\") 6) {ROOM}"),
        )
        .replace(
            "(local.set $made",
            "(if (i32.ne (memory.size) (i32.const 6)) (then unreachable)) (local.set $made",
        );
    for (module_text, answered) in [(watched.clone(), 204), (watched.replace(ROOM, ""), 502)] {
        let folder = TempDir::new().unwrap();
        module(folder.path(), "module.wasm", &module_text);
        let made = componentize(folder.path(), "module.wasm", "app.wasm");
        let told = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{told}");
        let toml = "[package.app]\nsource = \"app.wasm\"\n[[route]]\npath = \"/\"\npackage = \"app\"\n";
        fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
        let options = ["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let gateway = TestGateway::spawn(command(folder.path(), &options));
        assert_eq!(gateway.get("/").await.status, answered);
    }
}

#[test]
fn what_no_component_can_be_made_of_is_told_with_the_reason_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    module(
        folder.path(),
        "program.wasm",
        "(module (func (export \"_start\")))",
    );
    module(
        folder.path(),
        "foreign.wasm",
        "(module (import \"env\" \"f\" (func)))",
    );
    module(folder.path(), "component.wasm", "(component)");
    module(folder.path(), "right.wasm", MODULE);
    fs::write(folder.path().join("text.wasm"), "text").unwrap();
    fs::write(folder.path().join("cut.wasm"), b"\0asm\x01\0\0\0\x02\xff").unwrap();
    for (module, output, code, words) in [
        ("none.wasm", "app.wasm", USAGE, "none.wasm cannot be read"),
        (
            "text.wasm",
            "app.wasm",
            USAGE,
            "text.wasm is no WebAssembly",
        ),
        (
            "component.wasm",
            "app.wasm",
            USAGE,
            "component.wasm is a component already",
        ),
        (
            "program.wasm",
            "app.wasm",
            NOT_BUILT,
            "failed to find export of interface `wasi:http/incoming-handler@0.2.10`",
        ),
        ("foreign.wasm", "app.wasm", NOT_BUILT, "env"),
        (
            "cut.wasm",
            "app.wasm",
            NOT_BUILT,
            "no component can be made of cut.wasm",
        ),
        (
            "right.wasm",
            "nowhere/app.wasm",
            CANNOT_CREATE,
            "nowhere/app.wasm cannot be written",
        ),
    ] {
        let Output { status, stderr, .. } = componentize(folder.path(), module, output);
        let told = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(code), "{module}: {told}");
        assert!(told.contains(words), "{module}: {told}");
    }
    assert!(!folder.path().join("app.wasm").exists());
}
