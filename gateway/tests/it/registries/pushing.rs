//! `wasmgate push` and `wasmgate pull`.

use http::Request;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::opponents::{CONFIG, LAYER, MANIFEST, open_registry, sha256, text, wasmgate};
use crate::harness::{empty, guest, send_to};

#[tokio::test]
async fn a_component_comes_back_byte_for_byte_and_its_artifact_is_the_layouts() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let component = guest("hello");
    let reference = format!("{}/team/hello:1.0", registry.address());
    let arguments = ["push", component.to_str().unwrap(), &reference];
    let pushed = wasmgate(
        folder.path(),
        &[&arguments[..], &["--annotation", "org.example=x"]].concat(),
    );
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    let told = text(&pushed.stdout);

    let get = |target: String, accept: &str| {
        let request = Request::get(target)
            .header("host", registry.address().to_string())
            .header("accept", accept);
        send_to(registry.address(), request.body(empty()).unwrap())
    };
    let reply = get("/v2/team/hello/manifests/1.0".to_owned(), MANIFEST).await;
    assert_eq!(reply.headers["content-type"], MANIFEST);
    let digest = reply.headers["docker-content-digest"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        told.contains(&format!("oci://{reference}@{digest}")),
        "{told}"
    );
    let manifest: Value = serde_json::from_str(&reply.text()).unwrap();
    let bytes = std::fs::read(&component).unwrap();
    assert_eq!(manifest["annotations"]["org.example"], "x");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], LAYER);
    assert_eq!(
        manifest["layers"][0]["digest"],
        format!("sha256:{}", sha256(&bytes))
    );
    assert_eq!(
        manifest["layers"][0]["annotations"],
        json!({"org.opencontainers.image.title": "hello.wasm"})
    );
    assert_eq!(manifest["config"]["mediaType"], CONFIG);
    let config = manifest["config"]["digest"].as_str().unwrap();
    let config = get(format!("/v2/team/hello/blobs/{config}"), "*/*").await;
    let config: Value = serde_json::from_str(&config.text()).unwrap();
    assert_eq!(
        (&config["architecture"], &config["os"]),
        (&"wasm".into(), &"wasip2".into())
    );
    assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
    let exports = config["component"]["exports"].as_array().unwrap();
    let has_handler = |name: &Value| {
        name.as_str()
            .unwrap()
            .starts_with("wasi:http/incoming-handler@0.2.")
    };
    assert!(exports.iter().any(has_handler), "{config}");
    assert!(
        !config["component"]["imports"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    for named in [
        reference.clone(),
        format!("oci://{}/team/hello@{digest}", registry.address()),
    ] {
        let pulled = wasmgate(folder.path(), &["pull", &named, "-o", "back.wasm"]);
        assert!(pulled.status.success(), "{}", text(&pulled.stderr));
        assert_eq!(
            std::fs::read(folder.path().join("back.wasm")).unwrap(),
            bytes
        );
        assert!(text(&pulled.stdout).contains(&digest));
    }
    // Nothing is left beside it, and nothing is replaced that was not named.
    let pulled = wasmgate(folder.path(), &["pull", &reference]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    let again = wasmgate(folder.path(), &["pull", &reference]);
    assert_eq!(again.status.code(), Some(73), "{}", text(&again.stderr));
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["back.wasm", "hello.wasm"]);

    // The same file is the same artifact, whenever it is pushed.
    let again = wasmgate(
        folder.path(),
        &[&arguments[..], &["--annotation", "org.example=x"]].concat(),
    );
    assert_eq!(text(&again.stdout), told);
}

#[tokio::test]
async fn what_is_no_component_or_no_place_for_one_is_not_pushed() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("text.wasm"), "text").unwrap();
    std::fs::write(folder.path().join("module.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let address = registry.address();
    let good = guest("hello");
    let good = good.to_str().unwrap();
    for (file, reference, code, words) in [
        ("text.wasm", format!("{address}/a:1"), 65, "no WebAssembly"),
        ("module.wasm", format!("{address}/a:1"), 65, "core module"),
        ("none.wasm", format!("{address}/a:1"), 64, "No such file"),
        (
            good,
            format!("{address}/a"),
            64,
            "neither a tag nor a digest",
        ),
        (good, format!("{address}/A:1"), 64, "lower-case"),
        (good, "hello:1".to_owned(), 64, "no repository"),
        (
            good,
            format!("{address}/a@sha256:{}", "0".repeat(64)),
            64,
            "under a tag",
        ),
    ] {
        let pushed = wasmgate(folder.path(), &["push", file, &reference]);
        let told = text(&pushed.stderr);
        assert_eq!(
            pushed.status.code(),
            Some(code),
            "{file} {reference}: {told}"
        );
        assert!(
            told.contains(words) && told.contains("help:"),
            "{file} {reference}: {told}"
        );
    }
    assert_eq!(registry.requests("PUT"), 0);
}
