//! Packages whose start-up runs once, at registration: every instance begins behind it, and what breaks the rules for a
//! start-up is refused by name.

use std::{collections::BTreeSet, fs, path::Path, process::Output};

use tempfile::TempDir;

use crate::{
    harness::{Builder, TestGateway, assert_refused, guest, handler_component, run, until},
    reload::reload,
};

/// The 1,000th prime number, counted from zero.
const PRIME: &str = "/primes/prime?n=1000";

fn primes(lines: &str) -> Builder {
    TestGateway::builder()
        .package("primes", &guest("starts_up"), lines)
        .route("/primes/{*rest}", "primes")
}

#[tokio::test]
async fn a_start_up_runs_once_however_many_requests_there_are() {
    for engine in ["pool", "copy-on-write"] {
        let gateway = primes(&format!("snapshot = true\nengine = \"{engine}\""))
            .package(
                "lazy",
                &guest("starts_up"),
                &format!("engine = \"{engine}\""),
            )
            .route("/lazy/{*rest}", "lazy")
            .start();
        for _ in 0..20 {
            assert_eq!(gateway.get(PRIME).await.text(), "7927, made at the start");
        }
        let without = gateway.get("/lazy/prime?n=1000").await.text();
        assert_eq!(without, "7927, made in a request");
    }
}

#[tokio::test]
async fn a_router_that_start_up_has_built_serves_every_instance_and_nothing_of_a_request_is_left() {
    let gateway = TestGateway::builder()
        .guest_as("kept", "keeps_its_router", "snapshot = true")
        .guest_as("built", "keeps_its_router", "")
        .start();
    for _ in 0..10 {
        for path in ["/kept", "/built"] {
            assert_eq!(gateway.get(path).await.text(), "built 1, request 1");
        }
    }
}

#[tokio::test]
async fn two_instances_of_one_snapshot_do_not_share_a_seed() {
    let gateway = primes("snapshot = true").start();
    let mut seeds = BTreeSet::new();
    for _ in 0..20 {
        seeds.insert(gateway.get("/primes/seed").await.text());
    }
    assert_eq!(seeds.len(), 20, "each instance hashes in its own way");
}

#[tokio::test]
async fn a_snapshot_comes_from_disk_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let cache = folder.path().join("compiled");
    let mut files = Vec::new();
    for compilations in [1.0, 0.0] {
        let gateway = primes("snapshot = true").cache(&cache).start();
        assert_eq!(gateway.get(PRIME).await.text(), "7927, made at the start");
        let metrics = gateway.metrics().await;
        assert_eq!(
            metrics.sum("wasmgate_compilations_total", &[]),
            compilations
        );
        files.push(code(&cache));
    }
    assert_eq!(
        files[0].len(),
        2,
        "the component behind its start-up, and its code"
    );
    assert_eq!(files[0], files[1]);
}

fn code(cache: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".cwasm")).collect()
}

#[tokio::test]
async fn lost_code_is_made_again_from_the_same_snapshot() {
    let folder = TempDir::new().unwrap();
    let cache = folder.path().join("compiled");
    let gateway = primes("snapshot = true").cache(&cache).start();
    let before = code(&cache);
    for name in &before {
        fs::remove_file(cache.join(name)).unwrap();
    }
    until("the package is served", || async {
        gateway.get(PRIME).await.text() == "7927, made at the start"
    })
    .await;
    assert_eq!(code(&cache), before);
}

#[tokio::test]
async fn a_reload_takes_a_snapshot_and_lets_it_go() {
    let gateway = primes("").start();
    for (lines, when) in [
        ("", "in a request"),
        ("snapshot = true", "at the start"),
        ("snapshot = false", "in a request"),
    ] {
        primes(lines).write_to(gateway.folder());
        assert_eq!(reload(&gateway).await.status, 200);
        let said = gateway.get(PRIME).await.text();
        assert_eq!(said, format!("7927, made {when}"));
    }
}

fn check(builder: &Builder) -> Output {
    let folder = TempDir::new().unwrap();
    builder.write_to(folder.path());
    run(folder.path(), &["check"])
}

#[test]
fn a_start_up_that_asks_for_randomness_is_refused_by_the_imports_name() {
    let builder = TestGateway::builder().guest_with("hashes_at_its_start", "snapshot = true");
    assert_refused(
        &check(&builder),
        &[
            "package.hashes-at-its-start",
            "`wasi:random/",
            "`wasmgate_sdk::FrozenMap`",
        ],
    );
    let without = TestGateway::builder().guest("hashes_at_its_start");
    assert_eq!(check(&without).status.code(), Some(0));
}

#[test]
fn a_start_up_that_panics_is_refused_with_its_words() {
    let builder = TestGateway::builder().guest_with("panics_at_its_start", "snapshot = true");
    assert_refused(
        &check(&builder),
        &[
            "package.panics-at-its-start",
            "there is no grinder",
            "panics_at_its_start.rs",
        ],
    );
}

#[test]
fn a_package_without_a_start_up_is_refused_and_told_how_to_export_one() {
    let builder = TestGateway::builder().guest_with("hello", "snapshot = true");
    assert_refused(
        &check(&builder),
        &[
            "package.hello",
            "no function `wizer-initialize`",
            "`wasmgate_sdk::init!`",
        ],
    );
}

#[test]
fn a_start_up_that_takes_more_memory_than_an_instance_may_have_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("greedy.wasm");
    let grows = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    write_component(&file, grows);
    let lines = "snapshot = true\nlimits = { memory = \"1MiB\" }";
    let builder = TestGateway::builder().package("greedy", &file, lines);
    assert_refused(
        &check(&builder),
        &[
            "package.greedy",
            "more than the 1048576 bytes of memory",
            "raise `memory`",
        ],
    );
}

/// Writes a component of an HTTP handler with this start-up.
fn write_component(file: &Path, start_up: &str) {
    let core = format!(
        r#"(core module $code
            (memory 1)
            (func (export "handle") (param i32 i32))
            (func (export "start-up") {start_up}))
          (core instance $code (instantiate $code))"#
    );
    let export = r#"(func (export "wizer-initialize") (canon lift (core func $code "start-up")))"#;
    fs::write(file, handler_component(&core, export)).unwrap();
}

#[tokio::test]
async fn a_start_up_that_loops_is_refused_and_the_others_are_served() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("loops.wasm");
    write_component(&file, "(loop (br 0))");
    // Compiled before, in time enough for any machine.
    drop(primes("snapshot = true").start());
    let builder = primes("snapshot = true")
        .server("compile_timeout = \"8s\"\nstrict = false")
        .package("loops", &file, "snapshot = true")
        .route("/loops", "loops");
    let gateway = builder.start();
    gateway
        .get("/loops")
        .await
        .assert_error(503, "package-unavailable");
    let readyz = gateway.admin_get("/readyz").await.text();
    assert!(
        readyz.contains("its start-up is not over after 4s"),
        "{readyz}"
    );
    assert_eq!(gateway.get(PRIME).await.text(), "7927, made at the start");
}
