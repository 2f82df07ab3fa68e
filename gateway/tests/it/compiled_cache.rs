//! Compiled code on disk: used when it is ours and whole, made again when it is not.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::harness::{TestGateway, guest, run};

/// Starts a gateway of one guest, checks that it answers, and tells what it compiled and loaded.
async fn compiled_and_loaded(cache: &Path, name: &str, answer: &str) -> (f64, f64) {
    let gateway = TestGateway::builder().cache(cache).guest(name).start();
    assert_eq!(gateway.get(&format!("/{name}")).await.text(), answer);
    let metrics = gateway.metrics().await;
    let [compiled, loaded] =
        ["wasmgate_compilations_total", "wasmgate_cache_hits_total"].map(|name| metrics.sum(name, &[]));
    (compiled, loaded)
}

async fn hello(cache: &Path) -> (f64, f64) {
    compiled_and_loaded(cache, "hello", "Hello from a package\n").await
}

/// All files in a folder and its folders, in the order of their names, besides the word of who uses them.
fn files(folder: &Path) -> Vec<PathBuf> {
    let is_code = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name != "door" && !name.starts_with("lease-")
    };
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .filter(is_code)
        .collect();
    files.sort();
    files
}

fn fresh_cache() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let cache = folder.path().join("compiled");
    (folder, cache)
}

#[tokio::test]
async fn the_second_start_compiles_nothing() {
    let (_folder, cache) = fresh_cache();
    assert_eq!(hello(&cache).await, (1.0, 0.0));
    assert_eq!(hello(&cache).await, (0.0, 1.0));
}

#[tokio::test]
async fn only_the_owner_can_enter_the_cache() {
    let (_folder, cache) = fresh_cache();
    hello(&cache).await;
    assert_eq!(
        std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[tokio::test]
async fn damaged_compiled_code_is_compiled_again() {
    let (_folder, cache) = fresh_cache();
    hello(&cache).await;
    let damages: [fn(Vec<u8>) -> Vec<u8>; 6] = [
        |_| Vec::new(),
        |whole| whole[..whole.len() / 2].to_vec(),
        |whole| whole[..whole.len() - 1].to_vec(),
        |_| b"not compiled code at all".to_vec(),
        |mut whole| {
            whole.reverse();
            whole
        },
        |mut whole| {
            let middle = whole.len() / 2;
            whole[middle] ^= 0x40;
            whole
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        for file in files(&cache) {
            let whole = std::fs::read(&file).unwrap();
            std::fs::write(&file, damage(whole)).unwrap();
        }
        assert_eq!(hello(&cache).await, (1.0, 0.0), "damage {number}");
        assert_eq!(hello(&cache).await, (0.0, 1.0), "after damage {number}");
    }
}

#[tokio::test]
async fn another_packages_compiled_code_is_not_run_in_its_place() {
    let (_folder, cache) = fresh_cache();
    hello(&cache).await;
    let of_hello = files(&cache);
    compiled_and_loaded(&cache, "counter", "1").await;
    let of_both = files(&cache);
    let of_counter: Vec<_> = of_both
        .iter()
        .filter(|file| !of_hello.contains(file))
        .collect();
    for (mine, other) in of_hello.iter().zip(of_counter) {
        std::fs::copy(other, mine).unwrap();
    }
    hello(&cache).await;
}

#[tokio::test]
async fn strangers_in_the_cache_folder_are_left_alone() {
    let (_folder, cache) = fresh_cache();
    hello(&cache).await;
    std::fs::write(cache.join("notes.txt"), "not ours").unwrap();
    std::fs::create_dir(cache.join("0000")).unwrap();
    assert_eq!(hello(&cache).await, (0.0, 1.0));
    assert!(cache.join("notes.txt").is_file());
}

#[tokio::test]
async fn no_unfinished_file_is_left_behind() {
    let (_folder, cache) = fresh_cache();
    hello(&cache).await;
    let before = files(&cache);
    hello(&cache).await;
    assert_eq!(files(&cache), before);
    assert!(
        before
            .iter()
            .all(|file| !file.file_name().unwrap().to_string_lossy().contains("tmp")),
        "{before:?}"
    );
}

#[tokio::test]
async fn a_changed_component_is_compiled_again() {
    let (folder, cache) = fresh_cache();
    let source = folder.path().join("package.wasm");
    for (name, answer) in [("hello", "Hello from a package\n"), ("counter", "1")] {
        std::fs::copy(guest(name), &source).unwrap();
        let gateway = TestGateway::builder()
            .cache(&cache)
            .package("p", &source, "")
            .route("/p", "p")
            .start();
        assert_eq!(gateway.get("/p").await.text(), answer);
    }
}

#[tokio::test]
async fn gateways_that_start_together_share_a_cache() {
    let (_folder, cache) = fresh_cache();
    let starts = [(); 4].map(|()| {
        let cache = cache.clone();
        std::thread::spawn(move || TestGateway::builder().cache(&cache).guest("hello").start())
    });
    for start in starts {
        let gateway = start.join().unwrap();
        assert_eq!(gateway.get("/hello").await.status, 200);
    }
    assert_eq!(hello(&cache).await, (0.0, 1.0));
}

#[test]
fn a_cache_that_cannot_be_written_is_named_with_its_key() {
    let folder = TempDir::new().unwrap();
    // Below a file there is no folder to be made, whoever asks.
    let cache = folder.path().join("wasmgate.toml").join("compiled");
    let toml = TestGateway::builder().cache(&cache).guest("hello").toml();
    std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
    let output = run(folder.path(), &["up"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        told.contains(cache.to_str().unwrap()) && told.contains("cache"),
        "{told}"
    );
}
