//! Components that are files in ordinary images.

use std::{net::SocketAddr, path::Path, process::Command};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;
use wasmgate_real_dapr::left_out;

use super::opponents::{
    Cutting, INDEX, MANIFEST, answer, of_type, open_registry, other_version, put_blob, put_manifest, reload, served,
    site, status, text, wasmgate,
};
use crate::harness::{TestGateway, guest};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What an image says of itself, and nobody asks it: everything that an operator may grant.
const GREEDY: &str = r#"
[server]
admin = "0.0.0.0:9"
[package.site]
source = "hello.wasm"
env = { GREEDY = "yes" }
outbound = ["*"]
dapr = { state = ["*"], secrets = ["*"] }
[package.other]
source = "hello.wasm"
[[route]]
path = "/other"
package = "other"
"#;

/// Files as a layer: each with its kind, its name, and its contents or where it leads.
fn layer(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut archive = Builder::new(encoder);
    for (kind, name, contents) in entries {
        let mut header = Header::new_ustar();
        // As bytes: the library refuses some of these names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        let is_link = matches!(*kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.set_link_name_literal(contents).unwrap();
        }
        let contents = if is_link { &[] } else { *contents };
        header.set_size(contents.len() as u64);
        header.set_cksum();
        archive.append(&header, contents).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// Puts an image of these layers, the lowest first, under a tag of `team/app`, and answers with its digest.
async fn put_image(registry: SocketAddr, tag: &str, layers: &[Vec<u8>]) -> (String, Value) {
    let config = put_blob(registry, "team/app", b"{}").await;
    let mut blobs = Vec::new();
    for layer in layers {
        blobs.push(of_type(LAYER, put_blob(registry, "team/app", layer).await));
    }
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": of_type(CONFIG, config), "layers": blobs});
    let digest = put_manifest(registry, "team/app", tag, MANIFEST, &manifest).await;
    (digest, manifest)
}

/// What a check says of a source that is refused.
fn refused(source: &str) -> String {
    let folder = TempDir::new().unwrap();
    site(folder.path(), source, "").write_to(folder.path());
    let checked = wasmgate(folder.path(), &["check"]);
    let told = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(64), "{told}");
    assert!(told.contains("package.site.source"), "{told}");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_in_an_image_that_buildah_built_is_served_and_grants_itself_nothing() {
    if Command::new("buildah").arg("--version").output().is_err() {
        left_out("it needs Debian's package buildah");
        return;
    }
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let context = folder.path().join("context");
    std::fs::create_dir(&context).unwrap();
    for (name, component) in [
        ("hello.wasm", "hello"),
        ("report.wasm", "reports_its_environment"),
    ] {
        std::fs::copy(guest(component), context.join(name)).unwrap();
    }
    std::fs::write(context.join("wasmgate.toml"), GREEDY).unwrap();
    let steps = "FROM scratch\nCOPY wasmgate.toml hello.wasm /\nCOPY report.wasm /app/report.wasm\n\
                 COPY report.wasm /gone.wasm\n";
    std::fs::write(context.join("Dockerfile"), steps).unwrap();
    let store = |name: &str| folder.path().join(name).display().to_string();
    let buildah = |arguments: &[&str]| {
        let mut command = Command::new("buildah");
        command.args([
            "--root",
            &store("root"),
            "--runroot",
            &store("run"),
            "--storage-driver",
            "vfs",
        ]);
        let ran = command.args(arguments).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", text(&ran.stderr));
        text(&ran.stdout).trim().to_owned()
    };
    let image = format!("{}/team/app:1", registry.address());
    let build = ["build", "--isolation", "chroot", "--layers", "--tag"];
    buildah(&[&build[..], &[&image, context.to_str().unwrap()]].concat());
    // A layer above that takes one of them away.
    let container = buildah(&["from", "--pull-never", &image]);
    let mounted = buildah(&["mount", &container]);
    std::fs::remove_file(Path::new(&mounted).join("gone.wasm")).unwrap();
    buildah(&["umount", &container]);
    buildah(&["commit", "--quiet", &container, &image]);
    buildah(&["push", "--tls-verify=false", "--quiet", &image]);

    let source = format!("oci://{image}");
    let own = TempDir::new().unwrap();
    let packed = format!("{}/team/app:zstd", registry.address());
    let to = format!("docker://{packed}");
    buildah(&[
        "push",
        "--tls-verify=false",
        "--quiet",
        "--format=oci",
        "--compression-format=zstd",
        &image,
        &to,
    ]);
    let pulled = wasmgate(own.path(), &["pull", &format!("oci://{packed}#hello.wasm")]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    assert_eq!(
        std::fs::read(own.path().join("hello.wasm")).unwrap(),
        std::fs::read(guest("hello")).unwrap()
    );
    let gateway = site(own.path(), &format!("{source}#hello.wasm"), "")
        .package(
            "report",
            Path::new(&format!("{source}#app/report.wasm")),
            "env = { WHO = \"operator\" }",
        )
        .route("/report", "report")
        .start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    let report = gateway.get("/report").await.text();
    assert!(
        report.contains("env WHO=operator") && !report.contains("GREEDY"),
        "{report}"
    );
    assert_eq!(gateway.get("/other").await.status, 404);
    let packages = status(&gateway).await["packages"].as_array().unwrap().len();
    assert_eq!(packages, 2);
    let told = refused(&format!("{source}#gone.wasm"));
    assert!(told.contains("a layer takes it away"), "{told}");
    let told = refused(&format!("{source}#hallo.wasm"));
    assert!(
        told.contains("no file hallo.wasm in the image; in its root is hello.wasm\n"),
        "{told}"
    );
    let told = refused(&source);
    assert!(told.contains("name the file behind #"), "{told}");
    let told = refused(&format!("{source}#wasmgate.toml"));
    assert!(told.contains("is not WebAssembly"), "{told}");

    // As a command has it, and in the cache from then on.
    let pull = format!("{source}#app/report.wasm");
    let pulled = wasmgate(own.path(), &["pull", &pull]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    assert_eq!(
        std::fs::read(own.path().join("report.wasm")).unwrap(),
        std::fs::read(guest("reports_its_environment")).unwrap()
    );
    let digest = served(&gateway).await;
    drop(gateway);
    let before = registry.requests("");
    let pinned = format!("oci://{}/team/app@{digest}#hello.wasm", registry.address());
    let gateway = site(own.path(), &pinned, "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    drop(gateway);
    let gateway = site(own.path(), &pinned, "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(registry.requests(""), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_that_mean_no_good_are_refused_in_words_and_write_nothing_anywhere() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let address = registry.address();
    let hello = std::fs::read(guest("hello")).unwrap();
    let (file, symlink) = (EntryType::Regular, EntryType::Symlink);
    let good = layer(&[(file, "hello.wasm", &hello)]);
    let target = TempDir::new().unwrap();
    let outside = target.path().join("x").display().to_string();
    let upwards = format!("../../../../../../../..{outside}");
    let long = "x".repeat(90);
    let mut cut = good.clone();
    cut.truncate(cut.len() / 2);
    let cases: Vec<(&str, Vec<Vec<u8>>, &str)> = vec![
        (
            "a-link",
            vec![layer(&[(symlink, "hello.wasm", b"/proc/self/exe")])],
            "is a link to \"/proc/self/exe\"",
        ),
        (
            "a-hard-link",
            vec![layer(&[(
                EntryType::Link,
                "hello.wasm",
                b"../../etc/shadow",
            )])],
            "is a link",
        ),
        (
            "upwards",
            vec![layer(&[
                (file, &upwards, b"evil"),
                (file, &outside, b"evil"),
                (file, "../hello.wasm", &hello),
            ])],
            "no file hello.wasm",
        ),
        (
            "by-a-linked-folder",
            vec![
                good.clone(),
                layer(&[
                    (symlink, "out", target.path().to_str().unwrap().as_bytes()),
                    (file, "out/x", b"evil"),
                    (file, ".wh.hello.wasm", b""),
                ]),
            ],
            "no file hello.wasm",
        ),
        (
            "opaque",
            vec![good.clone(), layer(&[(file, ".wh..wh..opq", b"")])],
            "no file hello.wasm",
        ),
        ("cut", vec![cut], "is no archive of tar"),
        (
            "no-archive",
            vec![b"no archive".to_vec()],
            "is no archive of tar",
        ),
        (
            "many-names",
            vec![layer(&[
                (EntryType::XHeader, &long, b"12 size=512\n"),
                (file, "hello.wasm", &hello),
            ])],
            "two lengths",
        ),
    ];
    for (tag, layers, words) in cases {
        put_image(address, tag, &layers).await;
        let told = refused(&format!("oci://{address}/team/app:{tag}#hello.wasm"));
        assert!(told.contains(words), "{tag}: {told}");
        assert!(!Path::new(&outside).exists(), "{tag}");
    }
    // Layers of a kind, a number and a size that is not read.
    let config = put_blob(address, "team/app", b"{}").await;
    let blob = put_blob(address, "team/app", &good).await;
    let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    let encrypted = of_type(encrypted, blob.clone());
    let zstd = of_type("application/vnd.oci.image.layer.v1.tar+zstd", blob.clone());
    let mut large = of_type(LAYER, blob.clone());
    large["size"] = json!(1_u64 << 40);
    let many = vec![of_type(LAYER, blob); 200];
    for (tag, layers, words) in [
        (
            "encrypted",
            vec![encrypted],
            "tar alone, with gzip or with zstd is read",
        ),
        ("not-zstd", vec![zstd], "is no archive of tar"),
        ("large", vec![large], "has 1099511627776 bytes"),
        ("many", many, "at most 128 are taken"),
    ] {
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": of_type(CONFIG, config.clone()), "layers": layers});
        put_manifest(address, "team/app", tag, MANIFEST, &manifest).await;
        let told = refused(&format!("oci://{address}/team/app:{tag}#hello.wasm"));
        assert!(told.contains(words), "{tag}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_of_this_machine_is_taken_of_an_index_and_its_tag_is_followed() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let address = registry.address();
    let folder = TempDir::new().unwrap();
    let hello = guest("hello");
    let of = |component: &Path| {
        layer(&[(
            EntryType::Regular,
            "hello.wasm",
            &std::fs::read(component).unwrap(),
        )])
    };
    let (digest, manifest) = put_image(address, "one", &[of(&hello)]).await;
    let here = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let entry = |os: &str, architecture: &str, digest: &str| {
        json!({"mediaType": MANIFEST, "digest": digest, "size": manifest.to_string().len(),
            "platform": {"os": os, "architecture": architecture}})
    };
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        entry("linux", "s390x", &digest), entry("unknown", "unknown", &digest), entry("linux", here, &digest)]});
    let of_index = put_manifest(address, "team/app", "all", INDEX, &index).await;
    let source = format!("oci://{address}/team/app:all#hello.wasm");
    let gateway = site(folder.path(), &source, "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    assert_eq!(served(&gateway).await, of_index);
    drop(gateway);

    // The way to what is next under the tag breaks: what is served stays.
    let way = Cutting::before(address, 20 << 10, 0).await;
    put_image(address, "moving", &[of(&hello)]).await;
    let source = format!("oci://{}/team/app:moving#hello.wasm", way.address);
    let gateway = site(folder.path(), &source, "").start();
    let before = served(&gateway).await;
    put_image(
        address,
        "moving",
        &[of(&other_version(&hello, folder.path()))],
    )
    .await;
    way.dies.store(true, std::sync::atomic::Ordering::SeqCst);
    way.cuts.store(1, std::sync::atomic::Ordering::SeqCst);
    let reply = reload(&gateway).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(served(&gateway).await, before);
    assert_eq!(
        status(&gateway).await["conditions"][0]["reason"],
        "registry-lookup-failed"
    );
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_one_image_are_pulled_with_its_layers_once() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let address = registry.address();
    let folder = TempDir::new().unwrap();
    let hello = std::fs::read(guest("hello")).unwrap();
    let names: Vec<_> = (0..10).map(|at| format!("app/{at}.wasm")).collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| (EntryType::Regular, name.as_str(), &hello[..]))
        .collect();
    put_image(address, "1", &[layer(&files)]).await;
    let mut builder = TestGateway::builder()
        .environment("DOCKER_CONFIG", folder.path().to_str().unwrap())
        .cache(&folder.path().join("cache"));
    for (at, name) in names.iter().enumerate() {
        let source = format!("oci://{address}/team/app:1#{name}");
        let package = format!("site-{at}");
        builder = builder
            .package(&package, Path::new(&source), "")
            .route(&format!("/{package}"), &package);
    }
    let gateway = builder.start();
    assert_eq!(
        gateway.get("/site-9").await.text(),
        "Hello from a package\n"
    );
    assert_eq!(registry.requests("GET /v2/team/app/blobs/"), 1);
}
