//! Compiled code that is pushed with its component: taken where somebody answers for it and it fits, and never else.

use std::path::Path;

use http::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use wasmgate_real_dapr::DockerRegistry;

use super::{
    opponents::{
        CONFIG, LAYER, MANIFEST, answer, of_type, open_registry, put_blob, put_manifest, sha256, site, text, wasmgate,
    },
    signatures::{document, key, sign},
};
use crate::harness::{TestGateway, empty, guest, send_to};

/// What was pushed: where it is, by its digest, and the digest of its code's manifest.
struct Pushed {
    source: String,
    code: String,
}

/// Pushes a component and its code.
fn push(component: &Path, reference: &str, more: &[&str]) -> Pushed {
    let folder = TempDir::new().unwrap();
    let arguments = ["push", component.to_str().unwrap(), reference, "--compiled"];
    let pushed = wasmgate(folder.path(), &[&arguments[..], more].concat());
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    let told = text(&pushed.stdout);
    let last = |begin: &str| {
        let line = told.lines().rfind(|line| line.starts_with(begin));
        line.unwrap_or_else(|| panic!("no {begin:?} in {told}"))[begin.len()..].to_owned()
    };
    assert!(told.contains("\ncompiled = true\n"), "{told}");
    Pushed {
        source: last("source = ").trim_matches('"').to_owned(),
        code: last("# code ").split(' ').next().unwrap().to_owned(),
    }
}

/// What became of the code of a gateway's one package: how often it was taken, there was none, and it failed; and how
/// often a component was compiled.
async fn became(gateway: &TestGateway) -> [f64; 4] {
    let metrics = gateway.metrics().await;
    let code = |result| metrics.sum("wasmgate_registry_code_total", &[("result", result)]);
    let compiled = metrics.sum("wasmgate_compilations_total", &[]);
    [code("taken"), code("none"), code("failed"), compiled]
}

const TAKEN: [f64; 4] = [1.0, 0.0, 0.0, 0.0];
const NONE: [f64; 4] = [0.0, 1.0, 0.0, 1.0];
const FAILED: [f64; 4] = [0.0, 0.0, 1.0, 1.0];
const NOT_ASKED: [f64; 4] = [0.0, 0.0, 0.0, 1.0];

/// What becomes of the code of a source, in a cache of its own. What is served is right in any case.
async fn outcome(source: &str, lines: &str) -> [f64; 4] {
    let folder = TempDir::new().unwrap();
    let gateway = site(folder.path(), source, lines).start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    became(&gateway).await
}

/// A manifest in the repository of the tests.
async fn manifest(registry: &DockerRegistry, name: &str) -> Value {
    let request = Request::get(format!("/v2/team/site/manifests/{name}"))
        .header("host", registry.address().to_string())
        .header("accept", MANIFEST);
    let reply = send_to(registry.address(), request.body(empty()).unwrap()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_str(&reply.text()).unwrap()
}

/// Puts a manifest of code there by hand, and one of the component that names it; where that is, by its digest.
async fn by_hand(registry: &DockerRegistry, component: &Path, layer: &Value) -> String {
    let (address, repository) = (registry.address(), "team/site");
    let config = put_blob(address, repository, b"{}").await;
    let of_code = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": of_type("application/vnd.wasmgate.code.config.v1+json", config.clone()), "layers": [layer]});
    let code = put_manifest(address, repository, "code", MANIFEST, &of_code).await;
    let blob = put_blob(address, repository, &std::fs::read(component).unwrap()).await;
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": of_type(CONFIG, config),
        "layers": [of_type(LAYER, blob)], "annotations": {"dev.wasmgate.code": code}});
    let digest = put_manifest(address, repository, "by-hand", MANIFEST, &manifest).await;
    format!("oci://{address}/{repository}@{digest}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_of_a_pinned_manifest_is_taken_and_nothing_is_compiled() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let reference = format!("{}/team/site:1", registry.address());
    let pushed = push(&guest("hello"), &reference, &[]);
    let component = manifest(&registry, "1").await;
    assert_eq!(
        component["layers"].as_array().unwrap().len(),
        1,
        "{component}"
    );
    let folder = TempDir::new().unwrap();
    let gateway = site(folder.path(), &pushed.source, "compiled = true").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(became(&gateway).await, TAKEN);
    drop(gateway);
    // From then on it is in the cache, as what was compiled here is.
    let before = registry.requests("");
    let gateway = site(folder.path(), &pushed.source, "compiled = true").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(became(&gateway).await, [0.0; 4]);
    assert_eq!(registry.requests(""), before);
    // Who does not ask for it does not get it.
    assert_eq!(outcome(&pushed.source, "").await, NOT_ASKED);
    assert_eq!(outcome(&pushed.source, "compiled = false").await, NOT_ASKED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_of_data_are_made_behind_code_that_was_taken() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let reference = format!("{}/team/site:1", registry.address());
    let pushed = push(&guest("carries_much_data"), &reference, &[]);
    let folder = TempDir::new().unwrap();
    let gateway = site(folder.path(), &pushed.source, "compiled = true").start();
    for at in [0, 1, 70_000, 2_097_151] {
        assert_eq!(gateway.get(&format!("/site?at={at}")).await.text(), "7");
    }
    assert_eq!(became(&gateway).await, TAKEN);
    // Code for one kind of engine is none for the other.
    let lines = "compiled = true\nengine = \"copy-on-write\"";
    let folder = TempDir::new().unwrap();
    let gateway = site(folder.path(), &pushed.source, lines).start();
    assert_eq!(gateway.get("/site?at=70000").await.text(), "7");
    assert_eq!(became(&gateway).await, NONE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_is_asked_for_only_where_a_key_or_a_digest_answers_for_it() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let address = registry.address();
    let folder = TempDir::new().unwrap();
    let tag = format!("oci://{address}/team/site:1");
    let pushed = push(&guest("hello"), &tag, &[]);
    let refused = |lines: &str, source: &str, words: &str| {
        site(folder.path(), source, lines).write_to(folder.path());
        let checked = wasmgate(folder.path(), &["check"]);
        let told = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(64), "{told}");
        assert!(told.contains(words), "{words}: {told}");
    };
    let (at_tag, pinned) = (tag.as_str(), pushed.source.as_str());
    refused("compiled = true", at_tag, "package.site.compiled");
    refused("compiled = true", at_tag, "compiled code is native code");
    let sha256 = sha256(&std::fs::read(guest("hello")).unwrap());
    // The component's own digest says nothing of code.
    let lines = format!("compiled = true\nsha256 = '{sha256}'");
    refused(&lines, at_tag, "compiled code is native code");
    let file = guest("hello");
    refused(
        "compiled = true",
        file.to_str().unwrap(),
        "a file has no compiled code",
    );

    let (ours, public) = key(folder.path(), "ours", "prime256v1");
    let (theirs, _) = key(folder.path(), "theirs", "prime256v1");
    let signed = format!("compiled = true\nverify = '{}'", public.display());
    refused(&signed, at_tag, "there is no signature");
    // A digest does not stand in for a signature that is asked for.
    refused(&signed, pinned, "there is no signature");
    let digest = pinned.split_once('@').unwrap().1;
    sign(address, digest, &document(digest), &theirs).await;
    refused(&signed, at_tag, "by other keys");
    sign(address, digest, &document(digest), &ours).await;
    assert_eq!(outcome(at_tag, &signed).await, TAKEN);
    // The key of all of a registry is one as well.
    let own = TempDir::new().unwrap();
    let mut toml = site(own.path(), at_tag, "compiled = true").toml();
    toml.push_str(&format!(
        "\n[registry.host.\"{address}\"]\nverify = '{}'\n",
        public.display()
    ));
    let gateway = TestGateway::start_with(&toml, &[]);
    assert_eq!(became(&gateway).await, TAKEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_registry_and_no_key_gets_no_code_in() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let address = registry.address();
    let folder = TempDir::new().unwrap();
    let tag = format!("oci://{address}/team/site:1");
    let pushed = push(&guest("hello"), &tag, &[]);
    let (ours, public) = key(folder.path(), "ours", "prime256v1");
    let digest = pushed.source.split_once('@').unwrap().1;
    sign(address, digest, &document(digest), &ours).await;
    let signed = format!("compiled = true\nverify = '{}'", public.display());

    // Other code under the tag that the code's manifest has, with all that is said of the right one.
    let code = manifest(&registry, &pushed.code).await;
    let mut layer = code["layers"][0].clone();
    let evil = put_blob(address, "team/site", b"\x7fELF evil").await;
    layer["digest"] = evil["digest"].clone();
    layer["size"] = evil["size"].clone();
    let mut other = code.clone();
    other["layers"] = json!([layer]);
    let kept = format!("{}.code", pushed.code.replace(':', "-"));
    put_manifest(address, "team/site", &kept, MANIFEST, &other).await;
    assert_eq!(outcome(&tag, &signed).await, TAKEN);

    // The same component, naming that code, under the tag: not what was signed.
    let source = by_hand(&registry, &guest("hello"), &layer).await;
    let by_hand = manifest(&registry, source.split_once('@').unwrap().1).await;
    put_manifest(address, "team/site", "1", MANIFEST, &by_hand).await;
    site(folder.path(), &tag, &signed).write_to(folder.path());
    let told = text(&wasmgate(folder.path(), &["check"]).stderr);
    assert!(told.contains("is not signed by the key"), "{told}");

    // Bytes changed where the registry keeps them: the code's, and the code's manifest's.
    for name in [
        code["layers"][0]["digest"].as_str().unwrap(),
        pushed.code.as_str(),
    ] {
        let file = registry.blob(name.trim_start_matches("sha256:"));
        let right = std::fs::read(&file).unwrap();
        let mut bytes = right.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(
            outcome(&pushed.source, "compiled = true").await,
            FAILED,
            "{name}"
        );
        std::fs::write(&file, &right).unwrap();
    }
    assert_eq!(outcome(&pushed.source, "compiled = true").await, TAKEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_for_another_version_machine_or_component_is_not_even_fetched() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let hello = guest("hello");
    let pushed = push(&hello, &format!("{}/team/site:1", registry.address()), &[]);
    let code = manifest(&registry, &pushed.code).await;
    let right = code["layers"][0].clone();
    let name = |end: &str| format!("dev.wasmgate.code.{end}");
    let annotations = &right["annotations"];
    let text_of = |end: &str| annotations[name(end)].as_str().unwrap().to_owned();
    assert_eq!(text_of("version"), env!("CARGO_PKG_VERSION"));
    let blob = format!("/blobs/{}", right["digest"].as_str().unwrap());
    let fetched = || registry.requests(&format!("GET /v2/team/site{blob}"));
    let changes = [
        ("version", "0.0.1".to_owned()),
        ("target", "riscv64gc-unknown-linux-gnu".to_owned()),
        ("engine", text_of("engine").replace("pool", "swimming-pool")),
        ("features", format!("{} avx4096", text_of("features"))),
        ("compiled", format!("sha256:{}", "1".repeat(64))),
    ];
    for (end, value) in changes {
        let mut layer = right.clone();
        layer["annotations"][name(end)] = json!(value);
        let source = by_hand(&registry, &hello, &layer).await;
        assert_eq!(outcome(&source, "compiled = true").await, NONE, "{end}");
        assert_eq!(fetched(), 0, "{end}");
    }
    // A layer of another kind is none, whatever it says.
    let mut layer = right.clone();
    layer["mediaType"] = json!("application/octet-stream");
    let source = by_hand(&registry, &hello, &layer).await;
    assert_eq!(outcome(&source, "compiled = true").await, NONE);
    // A processor that has more than the code asks for runs it.
    let source = by_hand(&registry, &hello, &right).await;
    assert_eq!(outcome(&source, "compiled = true").await, TAKEN);
    assert_eq!(fetched(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_code_of_this_wasmtime_is_refused_and_the_component_compiled() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let hello = guest("hello");
    let pushed = push(&hello, &format!("{}/team/site:1", registry.address()), &[]);
    let code = manifest(&registry, &pushed.code).await;
    let mut layer = code["layers"][0].clone();
    let digest = layer["digest"].as_str().unwrap();
    let bytes = std::fs::read(registry.blob(digest.trim_start_matches("sha256:"))).unwrap();
    let cut = bytes[..bytes.len() / 2].to_vec();
    for wrong in [
        b"no code at all".to_vec(),
        Vec::new(),
        cut,
        std::fs::read(&hello).unwrap(),
    ] {
        let blob = put_blob(registry.address(), "team/site", &wrong).await;
        layer["digest"] = blob["digest"].clone();
        layer["size"] = blob["size"].clone();
        let source = by_hand(&registry, &hello, &layer).await;
        let length = wrong.len();
        assert_eq!(
            outcome(&source, "compiled = true").await,
            FAILED,
            "{length}"
        );
    }
    // One that claims a size that no code has is not fetched.
    layer["size"] = json!(1_u64 << 40);
    let source = by_hand(&registry, &hello, &layer).await;
    assert_eq!(outcome(&source, "compiled = true").await, FAILED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_for_machines_of_several_kinds_goes_with_one_component() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let hello = guest("hello");
    let reference = format!("{}/team/site:1", registry.address());
    let first = push(&hello, &reference, &[]);
    let other = format!("sha256:{}", "1".repeat(64));
    // What is named first is not there at all, which costs nothing but a question.
    let both = push(&hello, &reference, &["--code", &first.code]);
    assert_eq!(both.code, first.code);
    assert_eq!(both.source, first.source);
    let both = push(&hello, &reference, &["--code", &other]);
    let named = manifest(&registry, "1").await["annotations"]["dev.wasmgate.code"].clone();
    assert_eq!(named, json!(format!("{other} {}", first.code)));
    assert_eq!(outcome(&both.source, "compiled = true").await, TAKEN);
}
