//! What was pulled, on disk: served without its registry, never believed without its digest, shared by gateways.

use tempfile::TempDir;

use super::opponents::{answer, other_version, served, sha256, shelf, site, status, text, wasmgate};
use crate::harness::{Builder, TestGateway, guest};

#[tokio::test]
async fn a_start_without_the_registry_serves_what_the_tag_was_and_warns() {
    let Some(mut shelf) = shelf().await else {
        return;
    };
    let gateway = shelf.site("").start();
    let before = served(&gateway).await;
    drop(gateway);
    shelf.registry.kill();
    let gateway = shelf.site("").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(served(&gateway).await, before);
    let warned = gateway
        .wait_for_event(&[("level", "WARN"), ("reference", &shelf.reference)])
        .await;
    assert!(
        format!("{warned:?}").contains("cannot be reached"),
        "{warned:?}"
    );
    let status = status(&gateway).await;
    assert_eq!(
        status["conditions"][0]["reason"], "registry-lookup-failed",
        "{status}"
    );
    let told = wasmgate(
        shelf.folder.path(),
        &["status", "--admin", &gateway.admin.to_string()],
    );
    assert!(
        text(&told.stdout).contains(&format!("{} -> {before}", shelf.reference)),
        "{}",
        text(&told.stdout)
    );
    drop(gateway);

    // Another tag was never seen, and the cold cache says so.
    let other = shelf.reference.replace("site:1", "site:2");
    site(shelf.folder.path(), &other, "").write_to(shelf.folder.path());
    let checked = wasmgate(shelf.folder.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(64), "{}", text(&checked.stderr));
}

#[tokio::test]
async fn a_digest_that_was_pulled_once_needs_no_registry() {
    let Some(mut shelf) = shelf().await else {
        return;
    };
    let gateway = shelf.site("").start();
    let pinned = format!(
        "oci://{}/team/site@{}",
        shelf.registry.address(),
        served(&gateway).await
    );
    drop(gateway);
    let before = shelf.registry.requests("");
    let gateway = site(shelf.folder.path(), &pinned, "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(shelf.registry.requests(""), before);
    drop(gateway);
    shelf.registry.kill();
    let gateway = site(shelf.folder.path(), &pinned, "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert!(
        status(&gateway).await["conditions"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn what_was_changed_on_disk_is_pulled_again_and_not_served() {
    let Some(shelf) = shelf().await else {
        return;
    };
    let hello = guest("hello");
    drop(shelf.site("").start());
    let digest = sha256(&std::fs::read(&hello).unwrap());
    let blob = shelf
        .folder
        .path()
        .join("cache/registry/blobs")
        .join(&digest);
    let other = other_version(&hello, shelf.folder.path());
    std::fs::copy(&other, &blob).unwrap();
    let gateway = shelf.site("").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(sha256(&std::fs::read(&blob).unwrap()), digest);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&blob), 0o600);
    assert_eq!(mode(&shelf.folder.path().join("cache/registry")), 0o700);
}

#[tokio::test]
async fn a_copy_of_a_cache_serves_without_a_registry_and_compiles_nothing() {
    let Some(mut shelf) = shelf().await else {
        return;
    };
    shelf.site("").write_to(shelf.folder.path());
    let compiled = wasmgate(shelf.folder.path(), &["compile"]);
    assert!(compiled.status.success(), "{}", text(&compiled.stderr));
    shelf.registry.kill();
    // As a pod's first container copies what is in its image.
    let own = TempDir::new().unwrap();
    let copy = |from: &str| {
        let mut copy = std::process::Command::new("cp");
        copy.arg("-r")
            .arg(shelf.folder.path().join(from))
            .arg(own.path());
        assert!(copy.status().unwrap().success());
    };
    copy("cache");
    let gateway = site(own.path(), &shelf.reference, "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("wasmgate_compilations_total", &[]), 0.0);
}

#[tokio::test]
async fn gateways_that_share_a_cache_start_beside_each_other() {
    let Some(shelf) = shelf().await else {
        return;
    };
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let builder: Builder = shelf.site("");
            std::thread::spawn(move || -> TestGateway { builder.start() })
        })
        .collect();
    for start in starts {
        let gateway = start.join().unwrap();
        assert_eq!(answer(&gateway).await, "Hello from a package\n");
    }
    let blobs = std::fs::read_dir(shelf.folder.path().join("cache/registry/blobs")).unwrap();
    // The component and its manifest, and nothing that is on its way.
    assert_eq!(blobs.count(), 2);
}
