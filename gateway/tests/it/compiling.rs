//! Components that are expensive to compile: each is compiled in a process of its own, which ends at its limits and
//! with the gateway.

use std::{
    fs,
    path::Path,
    process::{Child, Output},
};

use tempfile::TempDir;

use crate::{
    harness::{Builder, TestGateway, assert_refused, command, guest, handler_text, run, until},
    reload::reload,
};

/// Loops within each other, and variables that go through all of them: a few kilobytes that take minutes and gigabytes
/// to compile.
pub(crate) const MANY: usize = 1000;

/// Writes a component that can be served, and whose handler has so many loops and variables.
pub(crate) fn write_component(file: &Path, many: usize) {
    fs::write(file, wat::parse_str(component(many)).unwrap()).unwrap();
}

fn component(many: usize) -> String {
    let locals = "(local i32)".repeat(many);
    let loops = "loop ".repeat(many);
    let steps: String = (2..2 + many)
        .map(|local| format!("(local.set {local} (i32.add (local.get {local}) (i32.const 1))) "))
        .collect();
    let ends = "(br_if 0 (local.get 0)) end ".repeat(many);
    let core = format!(
        r#"(core module $code (func (export "handle") (param i32 i32) {locals} {loops} {steps} {ends}))
          (core instance $code (instantiate $code))"#
    );
    handler_text(0, &core, "")
}

/// A package that is hardly anything, in a cache of its own, with lines for `[server]`.
fn small(folder: &Path, server: &str) -> Builder {
    let file = folder.join("small.wasm");
    write_component(&file, 0);
    TestGateway::builder()
        .cache(&folder.join("compiled"))
        .server(server)
        .package("small", &file, "")
        .route("/small", "small")
}

/// A package that is expensive to compile beside that.
fn heavy_beside_small(folder: &Path, server: &str) -> Builder {
    let file = folder.join("heavy.wasm");
    write_component(&file, MANY);
    small(folder, server)
        .package("heavy", &file, "")
        .route("/heavy", "heavy")
}

fn check(folder: &Path, builder: &Builder) -> Output {
    builder.write_to(folder);
    run(folder, &["check"])
}

/// The files in the cache's folder, besides the word of who uses it.
fn cached(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("compiled")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "door" && !name.starts_with("lease-"))
        .collect()
}

#[test]
fn a_component_that_takes_too_long_to_compile_is_refused_by_name_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let builder = heavy_beside_small(folder.path(), "compile_timeout = \"300ms\"");
    let output = check(folder.path(), &builder);
    assert_refused(
        &output,
        &[
            "package.heavy",
            "300ms to compile",
            "raise `compile_timeout`",
        ],
    );
    assert!(
        cached(folder.path())
            .iter()
            .all(|name| name.ends_with(".cwasm"))
    );
}

#[test]
fn a_component_that_takes_too_much_memory_to_compile_is_refused_by_name_and_the_others_are_compiled() {
    let folder = TempDir::new().unwrap();
    let builder = heavy_beside_small(folder.path(), "compile_memory = \"64MiB\"");
    let output = check(folder.path(), &builder);
    assert_refused(
        &output,
        &[
            "package.heavy",
            "more than 64 MiB of memory to compile",
            "raise `compile_memory`",
        ],
    );
    let cached = cached(folder.path());
    assert!(
        matches!(cached.as_slice(), [small] if small.ends_with(".cwasm")),
        "nothing is left of the other: {cached:?}"
    );
}

#[test]
fn what_can_be_told_without_a_compiler_is_told_before_any_package_is_compiled() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
        file
    };
    let no_handler = write("library.wasm", "(component)");
    let no_host = component(0).replace(
        "(component\n",
        "(component (import \"acme:db/query\" (instance (export \"run\" (func))))\n",
    );
    let no_host = write("alien.wasm", &no_host);
    let no_stack = component(0).replace("(param i32 i32)", "(param i32 i32) i32.add");
    let no_stack = write("invalid.wasm", &no_stack);
    let gone = folder.path().join("gone.wasm");
    let mistakes: [(&Path, &str); 4] = [
        (&no_handler, "exports neither"),
        (&no_host, "acme:db/query"),
        (&no_stack, "not a valid component"),
        (&gone, "there is no file"),
    ];
    let builder = || heavy_beside_small(folder.path(), "compile_timeout = \"1s\"");
    let with = |builder: Builder, file: &Path| builder.package("wrong", file, "").route("/wrong", "wrong");
    for (file, words) in mistakes {
        assert_nothing_compiled(folder.path(), &with(builder(), file), &[words]);
    }
    // With a mistake in the configuration itself as well.
    let server = "compile_timeout = \"1s\"\nlisen = \"127.0.0.1:1\"";
    let wrong = heavy_beside_small(folder.path(), server);
    assert_nothing_compiled(folder.path(), &wrong, &["there is no key \"lisen\""]);
    for (file, words) in mistakes {
        let both = ["there is no key \"lisen\"", words];
        let wrong = heavy_beside_small(folder.path(), server);
        assert_nothing_compiled(folder.path(), &with(wrong, file), &both);
    }
}

/// Nothing is heard of the package that takes minutes, and nothing is left of the one that takes none.
#[track_caller]
fn assert_nothing_compiled(folder: &Path, builder: &Builder, words: &[&str]) {
    builder.write_to(folder);
    for command in ["check", "up"] {
        let output = run(folder, &[command]);
        assert_refused(&output, words);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!told.contains("heavy"), "{told}");
    }
    let compiled = cached(folder);
    assert!(compiled.is_empty(), "{compiled:?}");
}

#[tokio::test]
async fn a_reload_to_a_component_that_takes_too_much_keeps_what_is_served() {
    let folder = TempDir::new().unwrap();
    let server = "compile_memory = \"64MiB\"";
    let gateway = small(folder.path(), server).start();
    let heavy = heavy_beside_small(folder.path(), server);
    heavy.write_to(gateway.folder());
    let reply = reload(&gateway).await;
    assert_eq!(reply.status, 422);
    assert!(reply.text().contains("compile_memory"), "{}", reply.text());
    gateway
        .get("/small")
        .await
        .assert_error(502, "guest-no-response");
    gateway.get("/heavy").await.assert_error(404, "no-route");
    assert_eq!(failures(&gateway, "memory").await, 1.0);
}

async fn failures(gateway: &TestGateway, reason: &str) -> f64 {
    let metrics = gateway.metrics().await;
    metrics.sum("wasmgate_compilation_failures_total", &[("reason", reason)])
}

#[tokio::test]
async fn what_was_not_compiled_is_counted_by_the_reason() {
    let folder = TempDir::new().unwrap();
    let server = "compile_timeout = \"10s\"";
    let gateway = small(folder.path(), server).start();
    heavy_beside_small(folder.path(), server).write_to(gateway.folder());
    assert_eq!(reload(&gateway).await.status, 422);
    // A function that ends without the number it promises.
    let wrong = folder.path().join("wrong.wasm");
    let promise = component(0).replace(
        "(core module $code",
        "(core module $code (func (result i32))",
    );
    fs::write(&wrong, wat::parse_str(promise).unwrap()).unwrap();
    let builder = small(folder.path(), server).package("wrong", &wrong, "");
    builder.write_to(gateway.folder());
    assert_eq!(reload(&gateway).await.status, 422);
    assert_eq!(failures(&gateway, "time").await, 1.0);
    assert_eq!(failures(&gateway, "component").await, 1.0);
}

#[test]
fn a_compiler_has_the_memory_that_is_left_to_the_gateway_and_no_more() {
    let folder = TempDir::new().unwrap();
    let builder = heavy_beside_small(folder.path(), "memory = \"256MiB\"");
    let output = check(folder.path(), &builder);
    assert_refused(
        &output,
        &[
            "package.heavy",
            "that are left to the gateway",
            "wasmgate compile",
        ],
    );
}

#[tokio::test]
async fn packages_of_one_component_are_compiled_once() {
    let folder = TempDir::new().unwrap();
    let mut builder = TestGateway::builder().cache(&folder.path().join("compiled"));
    for name in ["one", "two", "three"] {
        builder = builder.package(name, &guest("hello"), "");
    }
    let gateway = builder.route("/", "two").start();
    assert_eq!(gateway.get("/").await.status, 200);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("wasmgate_compilations_total", &[]), 1.0);
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The compilers that a gateway has started.
fn compilers(gateway: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |id: &u32| {
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let mut arguments = arguments.split(|byte| *byte == 0);
        arguments.nth(1) == Some(b"compile-component") && arguments.nth(1) == Some(gateway.to_string().as_bytes())
    };
    ids.filter(is_one).collect()
}

#[tokio::test]
async fn a_compiler_ends_with_its_gateway_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    heavy_beside_small(folder.path(), "").write_to(folder.path());
    let mut gateway = Ends(command(folder.path(), &["up"]).spawn().unwrap());
    let id = gateway.0.id();
    until("a compiler at work", || async { !compilers(id).is_empty() }).await;
    gateway.0.kill().unwrap();
    until("no compiler at work", || async { compilers(id).is_empty() }).await;
    assert!(
        cached(folder.path())
            .iter()
            .all(|name| name.ends_with(".cwasm"))
    );
}

#[test]
fn nobody_but_the_gateway_starts_a_compiler() {
    let folder = TempDir::new().unwrap();
    let numbers = ["1", "1", "1000000000", "10"];
    let arguments = [
        &["compile-component", "pool"],
        &numbers[..],
        &["wasi:http/proxy@0.2"],
    ]
    .concat();
    for arguments in [&arguments[..], &arguments[..1]] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(71));
        assert!(output.stdout.is_empty());
    }
}
