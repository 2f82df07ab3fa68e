//! Signatures by cosign's keys, made with OpenSSL as cosign makes them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::opponents::{
    CONFIG, MANIFEST, answer, of_type, open_registry, push, put_blob, put_manifest, served, site, text, wasmgate,
};
use crate::harness::{TestGateway, guest};

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    output.stdout
}

/// A key on a curve: the private half and the public one.
pub(super) fn key(folder: &Path, name: &str, curve: &str) -> (PathBuf, PathBuf) {
    let (private, public) = (
        folder.join(format!("{name}.key")),
        folder.join(format!("{name}.pub")),
    );
    let arguments = ["ecparam", "-name", curve, "-genkey", "-noout"];
    std::fs::write(&private, openssl(&arguments, b"")).unwrap();
    let arguments = ["ec", "-in", private.to_str().unwrap(), "-pubout"];
    std::fs::write(&public, openssl(&arguments, b"")).unwrap();
    (private, public)
}

/// What cosign signs.
pub(super) fn document(digest: &str) -> Value {
    json!({"critical": {"identity": {"docker-reference": "registry/site"},
        "image": {"docker-manifest-digest": digest}, "type": "cosign container image signature"}, "optional": null})
}

/// Puts a signature of a document beside a manifest.
pub(super) async fn sign(registry: SocketAddr, digest: &str, document: &Value, private: &Path) {
    let bytes = document.to_string();
    let arguments = ["dgst", "-sha256", "-sign", private.to_str().unwrap()];
    let signature = STANDARD.encode(openssl(&arguments, bytes.as_bytes()));
    let config = put_blob(registry, "team/site", b"{}").await;
    let blob = put_blob(registry, "team/site", bytes.as_bytes()).await;
    let mut layer = of_type("application/vnd.dev.cosign.simplesigning.v1+json", blob);
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
    let list = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": of_type(CONFIG, config), "layers": [layer]});
    let tag = format!("{}.sig", digest.replace(':', "-"));
    put_manifest(registry, "team/site", &tag, MANIFEST, &list).await;
}

#[tokio::test]
async fn what_is_not_signed_by_the_key_is_refused_and_what_is_is_served() {
    let Some(mut registry) = open_registry().await else {
        return;
    };
    let address = registry.address();
    let folder = TempDir::new().unwrap();
    let (ours, public) = key(folder.path(), "ours", "prime256v1");
    let (theirs, _) = key(folder.path(), "theirs", "prime256v1");
    let reference = format!("oci://{address}/team/site:1");
    push(&guest("hello"), &reference);
    let public = public.to_str().unwrap();
    let digest = {
        let gateway = site(folder.path(), &reference, "").start();
        served(&gateway).await
    };
    let lines = format!("verify = '{public}'");
    let refused = |words: &str| {
        site(folder.path(), &reference, &lines).write_to(folder.path());
        let checked = wasmgate(folder.path(), &["check"]);
        let told = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(64), "{told}");
        assert!(
            told.contains("is not signed by the key in") && told.contains(words),
            "{words}: {told}"
        );
        let pulled = wasmgate(
            folder.path(),
            &["pull", &reference, "-o", "x.wasm", "--verify", public],
        );
        assert_eq!(pulled.status.code(), Some(77), "{}", text(&pulled.stderr));
        assert!(!folder.path().join("x.wasm").exists());
    };
    refused("there is no signature");
    sign(address, &digest, &document(&digest), &theirs).await;
    refused("by other keys");
    let other = format!("sha256:{}", "1".repeat(64));
    sign(address, &digest, &document(&other), &ours).await;
    refused("of another manifest");
    let mut kind = document(&digest);
    kind["critical"]["type"] = json!("something else");
    sign(address, &digest, &kind, &ours).await;
    refused("is no image");

    sign(address, &digest, &document(&digest), &ours).await;
    let gateway = site(folder.path(), &reference, &lines).start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    drop(gateway);
    // The key of all of a registry, and what was signed is still that when the registry is gone.
    registry.kill();
    let mut toml = site(folder.path(), &reference, "").toml();
    toml.push_str(&format!("\n[registry.host.\"{address}\"]\n{lines}\n"));
    let gateway = TestGateway::start_with(&toml, &[]);
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    drop(gateway);
    // Not by another key.
    let (_, other) = key(folder.path(), "other", "prime256v1");
    std::fs::write(
        folder.path().join("wasmgate.toml"),
        toml.replace(public, other.to_str().unwrap()),
    )
    .unwrap();
    let checked = wasmgate(folder.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(64), "{}", text(&checked.stderr));
}

#[tokio::test]
async fn a_key_that_is_none_or_of_another_kind_is_told_by_its_place() {
    let folder = TempDir::new().unwrap();
    let (_, large) = key(folder.path(), "large", "secp384r1");
    let (private, _) = key(folder.path(), "ours", "prime256v1");
    let source = "oci://127.0.0.1:9/team/site:1";
    for file in [large, private, folder.path().join("none.pub")] {
        let lines = format!("verify = '{}'", file.display());
        site(folder.path(), source, &lines).write_to(folder.path());
        let told = text(&wasmgate(folder.path(), &["check"]).stderr);
        assert!(told.contains("package.site.verify"), "{told}");
    }
    let builder = TestGateway::builder().package("site", &guest("hello"), "verify = 'ours.pub'");
    builder.write_to(folder.path());
    let told = text(&wasmgate(folder.path(), &["check"]).stderr);
    assert!(told.contains("a file has no signature"), "{told}");
}
