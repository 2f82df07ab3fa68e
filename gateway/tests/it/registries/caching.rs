//! What was pulled, on disk: served without its registry, never believed without its digest, shared by gateways.

use tempfile::TempDir;

use super::opponents::{answer, open_registry, other_version, push, served, sha256, site, status, text, wasmgate};
use crate::harness::{Builder, TestGateway, guest};

#[tokio::test]
async fn a_start_without_the_registry_serves_what_the_tag_was_and_warns() {
    let Some(mut registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let reference = format!("oci://{}/team/site:1", registry.address());
    push(&guest("hello"), &reference);
    let gateway = site(folder.path(), &reference, "").start();
    let before = served(&gateway).await;
    drop(gateway);
    registry.kill();
    let gateway = site(folder.path(), &reference, "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(served(&gateway).await, before);
    let warned = gateway
        .wait_for_event(&[("level", "WARN"), ("reference", &reference)])
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
        folder.path(),
        &["status", "--admin", &gateway.admin.to_string()],
    );
    assert!(
        text(&told.stdout).contains(&format!("{reference} -> {before}")),
        "{}",
        text(&told.stdout)
    );
    drop(gateway);

    // Another tag was never seen, and the cold cache says so.
    let other = reference.replace("site:1", "site:2");
    site(folder.path(), &other, "").write_to(folder.path());
    let checked = wasmgate(folder.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(64), "{}", text(&checked.stderr));
}

#[tokio::test]
async fn a_digest_that_was_pulled_once_needs_no_registry() {
    let Some(mut registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let tag = format!("oci://{}/team/site:1", registry.address());
    push(&guest("hello"), &tag);
    let gateway = site(folder.path(), &tag, "").start();
    let pinned = format!(
        "oci://{}/team/site@{}",
        registry.address(),
        served(&gateway).await
    );
    drop(gateway);
    let before = registry.requests("");
    let gateway = site(folder.path(), &pinned, "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(registry.requests(""), before);
    drop(gateway);
    registry.kill();
    let gateway = site(folder.path(), &pinned, "").start();
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
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let hello = guest("hello");
    let reference = format!("oci://{}/team/site:1", registry.address());
    push(&hello, &reference);
    drop(site(folder.path(), &reference, "").start());
    let digest = sha256(&std::fs::read(&hello).unwrap());
    let blob = folder.path().join("cache/registry/blobs").join(&digest);
    let other = other_version(&hello, folder.path());
    std::fs::copy(&other, &blob).unwrap();
    let gateway = site(folder.path(), &reference, "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(sha256(&std::fs::read(&blob).unwrap()), digest);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&blob), 0o600);
    assert_eq!(mode(&folder.path().join("cache/registry")), 0o700);
}

#[tokio::test]
async fn gateways_that_share_a_cache_start_beside_each_other() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let reference = format!("oci://{}/team/site:1", registry.address());
    push(&guest("hello"), &reference);
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let builder: Builder = site(folder.path(), &reference, "");
            std::thread::spawn(move || -> TestGateway { builder.start() })
        })
        .collect();
    for start in starts {
        let gateway = start.join().unwrap();
        assert_eq!(answer(&gateway).await, "Hello from a package\n");
    }
    let blobs = std::fs::read_dir(folder.path().join("cache/registry/blobs")).unwrap();
    // The component and its manifest, and nothing that is on its way.
    assert_eq!(blobs.count(), 2);
}
