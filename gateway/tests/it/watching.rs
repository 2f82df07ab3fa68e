//! `up --watch`: what is saved is served, and what is broken is not.

use std::{fs, os::unix::fs::symlink, path::Path};

use crate::harness::{Builder, TestGateway, guest, until};

fn hello(route: &str) -> Builder {
    TestGateway::builder()
        .package("site", &guest("hello"), "")
        .route(route, "site")
}

/// A gateway whose package lies beside the configuration.
fn own(folder: &str) -> Builder {
    TestGateway::builder()
        .package("site", &Path::new(folder).join("site.wasm"), "")
        .route("/site", "site")
}

/// The reloads that were refused: what is read while it is written is one more.
async fn rejected(gateway: &TestGateway) -> f64 {
    let refused = [("result", "rejected")];
    gateway
        .metrics()
        .await
        .sum("wasmgate_reloads_total", &refused)
}

async fn serves(gateway: &TestGateway, path: &str) {
    until(path, async || gateway.get(path).await.status == 200).await;
}

#[tokio::test]
async fn a_saved_configuration_is_served_and_a_broken_one_is_told_until_it_is_mended() {
    let gateway = hello("/one").start_watching();
    hello("/two").write_to(gateway.folder());
    serves(&gateway, "/two").await;
    let file = gateway.folder().join("wasmgate.toml");
    // Many editors empty a file before they write it.
    for half in ["[package", "", "\n"] {
        let before = rejected(&gateway).await;
        fs::write(&file, half).unwrap();
        until("a reload that is refused", async || {
            rejected(&gateway).await > before
        })
        .await;
        assert_eq!(gateway.get("/two").await.status, 200, "{half:?}");
    }
    // Two saves right after each other: the last one counts. It comes as editors save, by another file's name.
    fs::write(&file, hello("/three").toml()).unwrap();
    let beside = gateway.folder().join("wasmgate.toml~");
    fs::write(&beside, hello("/four").toml()).unwrap();
    fs::rename(&beside, &file).unwrap();
    serves(&gateway, "/four").await;
    gateway.get("/three").await.assert_error(404, "no-route");
}

#[tokio::test]
async fn a_component_that_is_written_in_pieces_is_served_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = folder.path().join("site.wasm");
    fs::copy(guest("hello"), &wasm).unwrap();
    let gateway = own(&folder.path().display().to_string()).start_watching();
    assert!(gateway.get("/site").await.text().contains("Hello"));
    let next = fs::read(guest("reports_its_environment")).unwrap();
    let (first, second) = next.split_at(next.len() / 2);
    fs::write(&wasm, first).unwrap();
    until("a reload that is refused", async || {
        rejected(&gateway).await > 0.0
    })
    .await;
    assert!(gateway.get("/site").await.text().contains("Hello"));
    let mut file = fs::OpenOptions::new().append(true).open(&wasm).unwrap();
    std::io::Write::write_all(&mut file, second).unwrap();
    drop(file);
    until("the other component", async || {
        !gateway.get("/site").await.text().contains("Hello")
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_is_deleted_and_made_again_is_still_watched() {
    let folder = tempfile::tempdir().unwrap();
    let release = folder.path().join("target/release");
    fs::create_dir_all(&release).unwrap();
    fs::copy(guest("hello"), release.join("site.wasm")).unwrap();
    let gateway = own(&release.display().to_string()).start_watching();
    fs::remove_dir_all(folder.path().join("target")).unwrap();
    gateway
        .wait_for_event(&[(
            "message",
            "the configuration was not reloaded; what was served is served still",
        )])
        .await;
    assert!(gateway.get("/site").await.text().contains("Hello"));
    fs::create_dir_all(&release).unwrap();
    fs::copy(guest("reports_its_environment"), release.join("site.wasm")).unwrap();
    until("the other component", async || {
        !gateway.get("/site").await.text().contains("Hello")
    })
    .await;
}

#[tokio::test]
async fn a_swapped_link_is_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("..data");
    for (name, example) in [("first", "hello"), ("second", "reports_its_environment")] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::copy(guest(example), folder.path().join(name).join("site.wasm")).unwrap();
    }
    symlink("first", &link).unwrap();
    let gateway = own(&link.display().to_string()).start_watching();
    assert!(gateway.get("/site").await.text().contains("Hello"));
    symlink("second", folder.path().join("next")).unwrap();
    fs::rename(folder.path().join("next"), &link).unwrap();
    until("the other component", async || {
        !gateway.get("/site").await.text().contains("Hello")
    })
    .await;
}

#[tokio::test]
async fn a_component_file_that_comes_is_served() {
    let store = |name: &str| {
        format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\nspec: {{type: state.sqlite, version: v1}}\n"
        )
    };
    let gateway = TestGateway::builder()
        .dapr("components = \"components\"")
        .file("components/store.yaml", &store("first"))
        .guest_as("caller", "calls_dapr", "dapr = { state = [\"*\"] }")
        .start_watching();
    let read = async || {
        gateway
            .call("caller", "GET", "/v1.0/state/second/key", "")
            .await
            .status
            .as_u16()
    };
    assert_eq!(read().await, 400);
    fs::write(
        gateway.folder().join("components/other.yaml"),
        store("second"),
    )
    .unwrap();
    until("the other store", async || read().await == 204).await;
}
