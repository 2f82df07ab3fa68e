//! Many packages of few components.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use tempfile::TempDir;

use super::opponents::{Asked, Fake, manifest, padded, reply, sha256};
use crate::harness::{TestGateway, guest};

const PACKAGES: usize = 1000;
const DIGESTS: usize = 20;

/// The files below a folder, each with its inode, which another one in its place has not.
fn files(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.flat_map(|entry| {
        let metadata = entry.metadata().unwrap();
        match metadata.is_dir() {
            true => files(&entry.path()),
            false => [(entry.path(), metadata.ino())].into(),
        }
    });
    files.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_packages_each_digest_is_pulled_once() {
    let folder = TempDir::new().unwrap();
    let hello = guest("hello");
    let components = (0..DIGESTS).map(|at| std::fs::read(padded(&hello, folder.path(), at + 1)).unwrap());
    let components: Vec<_> = components.collect();
    let by_digest: BTreeMap<String, Vec<u8>> = components
        .iter()
        .map(|bytes| (sha256(bytes), bytes.clone()))
        .collect();
    let fake = Fake::start(move |asked: &Asked| {
        let (_, last) = asked.target.rsplit_once('/').unwrap();
        if let Some(digest) = last.strip_prefix("sha256:") {
            return match by_digest.get(digest) {
                Some(bytes) => reply(200, &[], bytes.clone()),
                None => reply(404, &[], ""),
            };
        }
        let at: usize = last.trim_start_matches('v').parse().unwrap();
        let bytes = &components[at % DIGESTS];
        let manifest = manifest(&sha256(bytes), bytes.len() as u64);
        let digest = format!("sha256:{}", sha256(manifest.as_bytes()));
        reply(200, &[("docker-content-digest", &digest)], manifest)
    })
    .await;
    let mut builder = TestGateway::builder()
        .environment("DOCKER_CONFIG", folder.path().to_str().unwrap())
        .cache(&folder.path().join("cache"));
    for at in 0..PACKAGES {
        let source = format!("oci://{}/team/site-{at}:v{at}", fake.address);
        let name = format!("site-{at}");
        builder = builder
            .package(&name, Path::new(&source), "")
            .route(&format!("/{name}"), &name);
    }
    let started = Instant::now();
    let gateway = builder.start();
    let cold = started.elapsed();
    assert_eq!(
        gateway.get("/site-999").await.text(),
        "Hello from a package\n"
    );
    drop(gateway);
    let asked = fake.asked();
    let of = |what: &str| asked.iter().filter(|one| one.target.contains(what)).count();
    assert_eq!((of("/blobs/"), of("/manifests/")), (DIGESTS, PACKAGES));

    let kept = files(&folder.path().join("cache/registry"));
    let started = Instant::now();
    let gateway = builder.start();
    let warm = started.elapsed();
    assert_eq!(
        gateway.get("/site-999").await.text(),
        "Hello from a package\n"
    );
    let again = &fake.asked()[asked.len()..];
    // A question for each tag, and nothing is read again.
    assert_eq!(again.len(), PACKAGES);
    assert!(again.iter().all(|one| one.method == http::Method::HEAD));
    assert_eq!(
        files(&folder.path().join("cache/registry")),
        kept,
        "nothing is written again"
    );
    eprintln!("{PACKAGES} packages of {DIGESTS} components: {cold:?} with a cold cache, {warm:?} with a warm one");
}
