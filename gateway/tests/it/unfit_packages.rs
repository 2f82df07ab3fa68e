//! Packages whose components cannot be served, beside one that can (`[server] strict`).

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    harness::{Builder, Reply, TestGateway, guest, run, until},
    reload::{change, reload},
};

/// Words for the log's event of an unfit package.
const TOLD: &str = "the package cannot be served, and the others are";

/// Packages of these files, routed by their names, beside `hello`.
fn packages(server: &str, files: &[(&str, &Path)]) -> Builder {
    let builder = TestGateway::builder().server(server).guest("hello");
    files.iter().fold(builder, |builder, (name, file)| {
        builder
            .package(name, file, "dapr = { publish = [\"pubsub/*\"] }")
            .route(&format!("/{name}"), name)
    })
}

/// A file that is no component.
fn broken(folder: &Path, name: &str) -> std::path::PathBuf {
    let file = folder.join(name);
    fs::write(&file, "no component").unwrap();
    file
}

fn assert_unavailable(reply: &Reply) {
    reply.assert_error(503, "package-unavailable");
    assert!(reply.header("retry-after").is_some());
}

#[test]
fn every_package_that_cannot_be_served_is_told_and_none_is_served() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (
        broken(folder.path(), "one.wasm"),
        folder.path().join("none.wasm"),
    );
    packages("", &[("one", &one), ("two", &two)]).write_to(folder.path());
    let output = run(folder.path(), &["up"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{told}");
    for words in ["one.wasm is not WebAssembly", "there is no file"] {
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test]
async fn unless_strict_a_package_that_cannot_be_served_keeps_no_other_from_it_until_it_is_mended() {
    let folder = TempDir::new().unwrap();
    let (bad, gone) = (
        broken(folder.path(), "bad.wasm"),
        folder.path().join("gone.wasm"),
    );
    let gateway = packages("strict = false", &[("bad", &bad), ("gone", &gone)]).start();
    assert_eq!(gateway.get("/hello").await.status, 200);
    for name in ["bad", "gone"] {
        assert_unavailable(&gateway.get(&format!("/{name}")).await);
        let told = [("package", name), ("level", "ERROR"), ("message", TOLD)];
        gateway.wait_for_event(&told).await;
    }
    until("a gateway that is ready", || async {
        gateway.admin_get("/readyz").await.status == 200
    })
    .await;
    let ready = gateway.admin_get("/readyz").await.text();
    assert!(
        ready.contains("package-unavailable bad: ") && ready.contains("is not WebAssembly"),
        "{ready}"
    );
    let status: Value = serde_json::from_str(&gateway.admin_get("/status").await.text()).unwrap();
    let shown = status["packages"].as_array().unwrap();
    let unavailable = shown
        .iter()
        .filter(|package| package["unavailable"].is_string());
    assert_eq!(unavailable.count(), 2, "{status:#}");
    let metrics = gateway.metrics().await;
    assert_eq!(
        metrics.sum("wasmgate_packages", &[("state", "unavailable")]),
        2.0
    );
    let admin = gateway.admin.to_string();
    let printed = run(gateway.folder(), &["status", "--admin", &admin]);
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.contains("package bad: engine none"), "{printed}");

    // One of them is mended, and the other is as it was.
    fs::copy(guest("hello"), &bad).unwrap();
    let reply = reload(&gateway).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(gateway.get("/bad").await.status, 200);
    assert_unavailable(&gateway.get("/gone").await);
}

#[tokio::test]
async fn a_package_that_is_served_is_not_given_up_by_a_reload_though_it_is_not_strict() {
    let folder = TempDir::new().unwrap();
    let site = folder.path().join("site.wasm");
    fs::copy(guest("hello"), &site).unwrap();
    let gateway = packages("strict = false", &[("site", &site)]).start();
    // A new one that cannot be served is no reason to refuse the rest.
    let new = broken(folder.path(), "new.wasm");
    let more = packages("strict = false", &[("site", &site), ("new", &new)]);
    let told = change(&gateway, &more).await;
    assert_eq!(told["added"].as_array().unwrap().len(), 1, "{told:#}");
    assert_unavailable(&gateway.get("/new").await);
    assert_eq!(gateway.get("/site").await.status, 200);

    broken(folder.path(), "site.wasm");
    let reply = reload(&gateway).await;
    assert_eq!(reply.status, 422);
    for name in ["site.wasm", "new.wasm"] {
        assert!(reply.text().contains(name), "{}", reply.text());
    }
    assert_eq!(gateway.get("/site").await.status, 200);
}
