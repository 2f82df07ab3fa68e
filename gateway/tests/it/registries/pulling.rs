//! Packages whose source is in a registry.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use serde_json::json;
use tempfile::TempDir;

use super::opponents::{
    CONFIG, Cutting, INDEX, LAYER, MANIFEST, answer, of_type, open_registry, other_version, padded, push, put_blob,
    put_manifest, reload, served, sha256, shelf, site, status, text, wasmgate,
};
use crate::harness::{Authority, TestGateway, guest, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_tag_is_followed_while_requests_are_served_and_none_fails() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let hello = guest("hello");
    let reference = format!("oci://{}/team/site:live", registry.address());
    push(&hello, &reference);
    let mut toml = site(folder.path(), &reference, "").toml();
    toml.push_str("\n[registry]\nrefresh = \"1s\"\n");
    let gateway = Arc::new(TestGateway::start_with(&toml, &[]));
    let before = served(&gateway).await;
    let (ended, requests) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let asking = tokio::spawn({
        let (gateway, ended, requests) = (
            Arc::clone(&gateway),
            Arc::clone(&ended),
            Arc::clone(&requests),
        );
        async move {
            while !ended.load(Ordering::SeqCst) {
                let reply = gateway.get("/site").await;
                assert_eq!(reply.status, 200, "{}", reply.text());
                requests.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    push(&other_version(&hello, folder.path()), &reference);
    until("the new component", || async {
        served(&gateway).await != before
    })
    .await;
    ended.store(true, Ordering::SeqCst);
    asking.await.unwrap();
    assert!(requests.load(Ordering::SeqCst) > 0);
    let metrics = gateway.metrics().await;
    assert!(metrics.sum("wasmgate_registry_lookups_total", &[("result", "moved")]) >= 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_under_another_digest_is_refused_with_both_digests() {
    let Some(shelf) = shelf().await else {
        return;
    };
    let hello = guest("hello");
    let right = sha256(&std::fs::read(&hello).unwrap());
    let wrong = "0".repeat(64);
    let (code, told) = shelf.check(&format!("sha256 = '{wrong}'"));
    assert_eq!(code, 64, "{told}");
    for words in ["package.site.source", &wrong, &right, &shelf.reference] {
        assert!(told.contains(words), "{words} is not in {told}");
    }
    shelf
        .site(&format!("sha256 = '{right}'"))
        .write_to(shelf.folder.path());
    let checked = wasmgate(shelf.folder.path(), &["check"]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).contains(&format!("site is {} -> sha256:", shelf.reference)));

    // A file is held to it as well.
    let own = TestGateway::builder().package("site", &hello, &format!("sha256 = '{wrong}'"));
    own.route("/site", "site").write_to(shelf.folder.path());
    let told = text(&wasmgate(shelf.folder.path(), &["check"]).stderr);
    assert!(told.contains(&wrong) && told.contains(&right), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_told_with_its_place_and_the_remedy() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let address = registry.address();
    push(&guest("hello"), &format!("{address}/team/site:1"));
    let nobody = "127.0.0.1:9";
    let sources = [
        (
            format!("oci://{address}/team/site:2"),
            format!("there is no team/site:2 in the registry {address}"),
        ),
        (
            format!("oci://{address}/team/other:1"),
            format!("there is no team/other:1 in the registry {address}"),
        ),
        (
            format!("oci://{address}/team/site@sha256:{}", "1".repeat(64)),
            format!("there is no team/site@sha256:{}", "1".repeat(64)),
        ),
        (
            format!("oci://{nobody}/team/site:1"),
            format!("the registry {nobody} cannot be reached"),
        ),
    ];
    let mut builder = TestGateway::builder()
        .cache(&folder.path().join("cache"))
        .environment("DOCKER_CONFIG", folder.path().to_str().unwrap());
    for (at, (source, _)) in sources.iter().enumerate() {
        builder = builder.package(&format!("site-{at}"), std::path::Path::new(source), "");
    }
    builder.write_to(folder.path());
    let checked = wasmgate(folder.path(), &["check"]);
    let told = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(64), "{told}");
    for (at, (_, words)) in sources.iter().enumerate() {
        assert!(told.contains(words), "{words} is not in {told}");
        assert!(
            told.contains(&format!("package.site-{at}.source")),
            "{told}"
        );
    }
    assert!(told.contains("correct the name, or push it"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_things_than_components_are_refused_and_told_apart() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let address = registry.address();
    let layer = put_blob(address, "things", b"layer").await;
    let config = put_blob(address, "things", b"{}").await;
    let module = put_blob(address, "things", b"\0asm\x01\0\0\0").await;
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    let of = |config_type: &str, layers: serde_json::Value| json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": of_type(config_type, config.clone()), "layers": layers});
    let image = of(
        "application/vnd.oci.image.config.v1+json",
        json!([of_type(tar, layer.clone())]),
    );
    let two = of(
        CONFIG,
        json!([
            of_type(LAYER, layer.clone()),
            of_type(LAYER, module.clone())
        ]),
    );
    let text_file = of(CONFIG, json!([of_type(LAYER, layer.clone())]));
    let core = of(CONFIG, json!([of_type(LAYER, module)]));
    for (tag, manifest) in [
        ("image", image),
        ("two", two),
        ("text", text_file),
        ("core", core),
    ] {
        put_manifest(address, "things", tag, MANIFEST, &manifest).await;
    }
    for (tag, words) in [
        ("image", "no layer of application/wasm"),
        ("two", "2 layers"),
        ("text", "is not WebAssembly"),
        ("core", "core module"),
    ] {
        let source = format!("oci://{address}/things:{tag}");
        site(folder.path(), &source, "").write_to(folder.path());
        let told = text(&wasmgate(folder.path(), &["check"]).stderr);
        assert!(
            told.contains(words) && told.contains(&source),
            "{tag}: {told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_index_of_platforms_the_one_for_wasm_is_served() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let address = registry.address();
    let hello = std::fs::read(guest("hello")).unwrap();
    let config = put_blob(address, "team/site", b"{}").await;
    let blob = put_blob(address, "team/site", &hello).await;
    let native = put_blob(address, "team/site", b"native").await;
    let wasm = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": of_type(CONFIG, config.clone()),
        "layers": [of_type(LAYER, blob)]});
    let other = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": of_type("application/vnd.oci.image.config.v1+json", config),
        "layers": [of_type("application/vnd.oci.image.layer.v1.tar", native)]});
    let entry = |digest: &str, manifest: &serde_json::Value, os: &str, architecture: &str| {
        json!({"mediaType": MANIFEST, "digest": digest, "size": manifest.to_string().len(),
            "platform": {"os": os, "architecture": architecture}})
    };
    let wasm_digest = put_manifest(address, "team/site", "wasm", MANIFEST, &wasm).await;
    let other_digest = put_manifest(address, "team/site", "linux", MANIFEST, &other).await;
    let linux = entry(&other_digest, &other, "linux", "amd64");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX,
        "manifests": [linux, entry(&wasm_digest, &wasm, "wasip2", "wasm")]});
    let index_digest = put_manifest(address, "team/site", "all", INDEX, &index).await;
    let gateway = site(folder.path(), &format!("oci://{address}/team/site:all"), "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(served(&gateway).await, index_digest);

    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [linux]});
    put_manifest(address, "team/site", "none", INDEX, &index).await;
    let source = format!("oci://{address}/team/site:none");
    site(folder.path(), &source, "").write_to(folder.path());
    let told = text(&wasmgate(folder.path(), &["check"]).stderr);
    assert!(
        told.contains("linux/amd64") && told.contains("wasip2/wasm"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_goes_on_where_the_way_to_the_registry_broke() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let large = padded(&guest("hello"), folder.path(), 2 << 20);
    push(&large, &format!("{}/team/site:1", registry.address()));
    let way = Cutting::before(registry.address(), 200 << 10, 5).await;
    let gateway = site(
        folder.path(),
        &format!("oci://{}/team/site:1", way.address),
        "",
    )
    .start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(way.cuts.load(Ordering::SeqCst), 0);
    // 206 is the answer to who asks for the rest.
    assert!(
        registry.requests("\" 206 ") >= 4,
        "{}",
        registry.requests("\" 206 ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_dies_in_mid_pull_leaves_the_component_before_serving() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let hello = guest("hello");
    let at_registry = format!("{}/team/site:1", registry.address());
    push(&hello, &at_registry);
    let way = Cutting::before(registry.address(), 200 << 10, 0).await;
    let gateway = site(
        folder.path(),
        &format!("oci://{}/team/site:1", way.address),
        "",
    )
    .start();
    let before = served(&gateway).await;
    push(&padded(&hello, folder.path(), 2 << 20), &at_registry);
    way.dies.store(true, Ordering::SeqCst);
    way.cuts.store(1, Ordering::SeqCst);
    let reply = reload(&gateway).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(way.cuts.load(Ordering::SeqCst), 0);
    assert_eq!(served(&gateway).await, before);
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    let status = status(&gateway).await;
    assert_eq!(
        status["conditions"][0]["reason"], "registry-lookup-failed",
        "{status}"
    );
    gateway
        .wait_for_metric("wasmgate_packages", &[("state", "stale")], 1)
        .await;
    let failed = gateway
        .metrics()
        .await
        .sum("wasmgate_registry_lookups_total", &[("result", "failed")]);
    assert!(failed >= 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_was_tampered_with_in_the_registry_is_refused_with_both_digests() {
    let Some(shelf) = shelf().await else {
        return;
    };
    let hello = guest("hello");
    let mut bytes = std::fs::read(&hello).unwrap();
    let right = sha256(&bytes);
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(shelf.registry.blob(&right), &bytes).unwrap();
    let pulled = wasmgate(
        shelf.folder.path(),
        &["pull", &shelf.reference, "-o", "x.wasm"],
    );
    let told = text(&pulled.stderr);
    assert_eq!(pulled.status.code(), Some(65), "{told}");
    assert!(
        told.contains(&right) && told.contains(&sha256(&bytes)),
        "{told}"
    );
    assert!(!shelf.folder.path().join("x.wasm").exists());
    shelf.site("").write_to(shelf.folder.path());
    let told = text(&wasmgate(shelf.folder.path(), &["check"]).stderr);
    assert!(
        told.contains(&right) && told.contains(&sha256(&bytes)),
        "{told}"
    );
    // Nothing of it is kept for the next time.
    push(
        &other_version(&hello, shelf.folder.path()),
        &shelf.reference,
    );
    let checked = wasmgate(shelf.folder.path(), &["check"]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_with_a_private_authority_is_believed_once_that_is_named() {
    let authority = Authority::new();
    let Some(registry) = wasmgate_real_dapr::DockerRegistry::new() else {
        return;
    };
    let address = registry.address();
    authority.sign("registry", &[&address.ip().to_string()], 2099);
    let mut registry = registry.with_tls(
        &authority.file("registry.pem"),
        &authority.file("registry.key"),
    );
    registry.start().await;
    let folder = TempDir::new().unwrap();
    let hello = guest("hello");
    let (hello, reference) = (hello.to_str().unwrap(), format!("{address}/team/site:1"));
    let ca = authority.file("ca.pem");
    let ca = ca.to_str().unwrap();
    let pushed = wasmgate(folder.path(), &["push", hello, &reference, "--ca", ca]);
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    let source = format!("oci://{reference}");
    let mut toml = site(folder.path(), &source, "").toml();
    let of_host = format!("\n[registry.host.\"{address}\"]\n");
    // On this machine without a word about it: plain HTTP, which this registry does not speak.
    std::fs::write(folder.path().join("wasmgate.toml"), &toml).unwrap();
    let told = text(&wasmgate(folder.path(), &["check"]).stderr);
    assert!(told.contains("does not keep to the protocol"), "{told}");
    std::fs::write(
        folder.path().join("wasmgate.toml"),
        format!("{toml}{of_host}insecure = false\n"),
    )
    .unwrap();
    let told = text(&wasmgate(folder.path(), &["check"]).stderr);
    assert!(
        told.contains("cannot be reached") && told.contains("certificate"),
        "{told}"
    );
    toml.push_str(&format!("{of_host}ca = '{ca}'\n"));
    let gateway = TestGateway::start_with(&toml, &[]);
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
}
