//! `wasmgate cache`: what lies in the cache is told with who uses it, and what nobody uses goes.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
};

use serde_json::Value;

use crate::harness::{Builder, Signal, TestGateway, command, guest, run, script, within};

/// A package for each of these, with a cache of their own.
fn sites(examples: &[&str]) -> Builder {
    examples.iter().fold(
        TestGateway::builder().cache(Path::new(".wasmgate/cache")),
        |builder, example| {
            builder
                .package(example, &guest(example), "")
                .route(&format!("/{example}"), example)
        },
    )
}

fn told(folder: &Path, arguments: &[&str]) -> String {
    let ended = run(folder, arguments);
    let [stdout, stderr] = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(ended.status.success(), "{stdout}{stderr}");
    stdout
}

/// The files in the cache, each with who uses it.
fn listed(folder: &Path, more: &[&str]) -> Vec<(String, Vec<String>)> {
    let text = told(folder, &[&["cache", "list", "--json"], more].concat());
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let each = all.iter().map(|cached| {
        let packages = cached["packages"].as_array().unwrap().iter();
        let mut by: Vec<_> = packages
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        by.extend((cached["is_served"] == true).then(|| "gateway".to_owned()));
        (cached["file"].as_str().unwrap().to_owned(), by)
    });
    each.collect()
}

fn users(folder: &Path, more: &[&str]) -> BTreeSet<Vec<String>> {
    listed(folder, more).into_iter().map(|(_, by)| by).collect()
}

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder.join(".wasmgate/cache")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn code_that_no_configuration_uses_goes_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        told_of(&sites(&["hello"]), folder.path(), &["cache", "prune"]),
        "removed from .wasmgate/cache: 0 files (0.0 KiB); kept: 0 files (0.0 KiB)"
    );
    told_of(
        &sites(&["hello", "echo", "panics"]),
        folder.path(),
        &["compile"],
    );
    fs::write(folder.path().join("other.toml"), sites(&["echo"]).toml()).unwrap();
    sites(&["hello"]).write_to(folder.path());
    let hello = || vec!["hello".to_owned()];
    let echo = || vec!["echo".to_owned()];
    assert_eq!(users(folder.path(), &[]), BTreeSet::from([hello(), vec![]]));
    let also = ["--also", "other.toml"];
    assert_eq!(
        users(folder.path(), &also),
        BTreeSet::from([hello(), echo(), vec![]])
    );
    let table = told(folder.path(), &["cache", "list"]);
    assert!(
        table.contains("\n.wasmgate/cache: 1 file (") && table.contains(" unused"),
        "{table}"
    );
    let pruned = told(folder.path(), &["cache", "prune", "--also", "other.toml"]);
    assert!(
        pruned.contains("cache: 1 file (") && pruned.contains("kept: 2 files ("),
        "{pruned}"
    );
    assert_eq!(
        users(folder.path(), &also),
        BTreeSet::from([hello(), echo()])
    );
    told(folder.path(), &["cache", "prune"]);
    assert_eq!(users(folder.path(), &also), BTreeSet::from([hello()]));
}

fn told_of(builder: &Builder, folder: &Path, arguments: &[&str]) -> String {
    builder.write_to(folder);
    told(folder, arguments)
}

#[test]
fn a_configuration_that_is_wrong_or_has_another_cache_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    told_of(&sites(&["hello"]), folder.path(), &["compile"]);
    let before = files(folder.path());
    fs::write(
        folder.path().join("elsewhere.toml"),
        "[server]\ncache = \"elsewhere\"\n",
    )
    .unwrap();
    let ended = run(
        folder.path(),
        &["cache", "prune", "--also", "elsewhere.toml"],
    );
    assert_eq!(ended.status.code(), Some(64));
    assert!(
        String::from_utf8(ended.stderr)
            .unwrap()
            .contains("has its cache in elsewhere")
    );
    fs::write(folder.path().join("wasmgate.toml"), "[package").unwrap();
    assert_eq!(
        run(folder.path(), &["cache", "prune"]).status.code(),
        Some(64)
    );
    assert_eq!(files(folder.path()), before);
}

#[tokio::test]
async fn what_a_running_gateway_uses_stays_whatever_its_configuration_says_by_now() {
    let folder = tempfile::tempdir().unwrap();
    sites(&["hello", "echo"]).write_to(folder.path());
    let mut gateway = TestGateway::spawn(command(folder.path(), &["up"]));
    // Not loaded yet, and gone from the file.
    sites(&["hello"]).write_to(folder.path());
    let served = || vec!["gateway".to_owned()];
    let both = || vec!["hello".to_owned(), "gateway".to_owned()];
    assert_eq!(
        users(folder.path(), &[]),
        BTreeSet::from([both(), served()])
    );
    assert!(told(folder.path(), &["cache", "prune"]).contains("cache: 0 files"));
    assert_eq!(gateway.get("/echo").await.status, 200);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("wasmgate_compilations_total", &[]), 2.0);

    // What a reload has let go is let go.
    crate::reload::reload(&gateway).await;
    assert_eq!(users(folder.path(), &[]), BTreeSet::from([both(), vec![]]));
    assert!(told(folder.path(), &["cache", "prune"]).contains("cache: 1 file ("));
    // And so is all that a killed gateway had.
    gateway.signal(Signal::Kill);
    gateway.ended().await;
    assert_eq!(
        users(folder.path(), &[]),
        BTreeSet::from([vec!["hello".to_owned()]])
    );
    sites(&["panics"]).write_to(folder.path());
    told(folder.path(), &["cache", "prune"]);
    assert_eq!(files(folder.path()), BTreeSet::from(["door".to_owned()]));
}

#[tokio::test]
async fn nothing_is_removed_while_somebody_takes_code_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    told_of(&sites(&["hello"]), folder.path(), &["compile"]);
    sites(&["echo"]).write_to(folder.path());
    let before = files(folder.path());
    let door = File::open(folder.path().join(".wasmgate/cache/door")).unwrap();
    door.lock_shared().unwrap();
    let mut prune = command(folder.path(), &["cache", "prune"]).spawn().unwrap();
    let mut lines = BufReader::new(prune.stderr.take().unwrap()).lines();
    let waits = lines.any(|line| line.unwrap().contains("waiting until it is done"));
    assert!(waits);
    assert_eq!(files(folder.path()), before);
    drop(door);
    let ended = tokio::task::spawn_blocking(move || prune.wait());
    assert!(within("the end", ended).await.unwrap().unwrap().success());
    assert_eq!(files(folder.path()), BTreeSet::from(["door".to_owned()]));
}

/// A start-up that is kept, and a program whose module was made a component.
#[test]
fn what_code_was_made_of_stays_with_it_though_no_gateway_runs() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Path::new(".wasmgate/cache");
    let packages = || {
        TestGateway::builder()
            .cache(cache)
            .package("starts", &guest("starts_up"), "snapshot = true\n")
            .route("/starts", "starts")
            .package("program", &script("wasm32-wasip1"), "kind = \"cgi\"\n")
            .route("/program", "program")
    };
    told_of(&packages(), folder.path(), &["compile"]);
    let before = files(folder.path());
    assert_eq!(before.len(), 5, "{before:?}");
    let each = |name: &str| vec![name.to_owned()];
    assert_eq!(
        users(folder.path(), &[]),
        BTreeSet::from([each("starts"), each("program")])
    );
    assert!(told(folder.path(), &["cache", "prune"]).contains("cache: 0 files"));
    assert_eq!(files(folder.path()), before);

    // Without its snapshot a package has other code, and that of it is nobody's.
    let plain = TestGateway::builder()
        .cache(cache)
        .package("starts", &guest("starts_up"), "")
        .route("/starts", "starts");
    plain.write_to(folder.path());
    assert!(told(folder.path(), &["cache", "prune"]).contains("cache: 4 files"));
    assert_eq!(files(folder.path()), BTreeSet::from(["door".to_owned()]));
}
