//! `wasmgate backup` of data that are being written, and `wasmgate restore` of what it made.

use std::{
    fs::{self, File},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    dapr_mistakes::{STORE, shop},
    harness::{Signal, TestGateway, command, output_of, run, until},
};

/// The data cannot be used as they are (`EX_IOERR`).
const IO_ERROR: i32 = 74;

/// Keys that are there before the copy is made.
const BEFORE: usize = 50;

async fn write(gateway: &TestGateway, key: usize) {
    let item = json!([{"key": format!("k{key}"), "value": {"number": key, "filling": "x".repeat(2_000)}}]);
    gateway
        .call("shop", "POST", STORE, item.to_string())
        .await
        .is(204);
}

/// Whether a key is there; one that is has its whole value.
async fn has(gateway: &TestGateway, key: usize) -> bool {
    let reply = gateway
        .call("shop", "GET", &format!("{STORE}/k{key}"), "")
        .await;
    if reply.status == 204 {
        return false;
    }
    assert_eq!(reply.is(200).json()["number"], key);
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_data_that_are_written_meanwhile_holds_all_that_was_acknowledged_before_it() {
    let folder = TempDir::new().unwrap();
    let gateway = Arc::new(shop().start_in(folder.path()));
    for key in 0..BEFORE {
        write(&gateway, key).await;
    }
    let (has_ended, written) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(BEFORE)),
    );
    let writer = tokio::spawn({
        let (gateway, has_ended, written) = (
            Arc::clone(&gateway),
            Arc::clone(&has_ended),
            Arc::clone(&written),
        );
        async move {
            while !has_ended.load(Ordering::Acquire) {
                let key = written.load(Ordering::Acquire);
                write(&gateway, key).await;
                written.store(key + 1, Ordering::Release);
            }
        }
    });
    until("some writes", || async {
        written.load(Ordering::Acquire) > BEFORE + 5
    })
    .await;
    let before = written.load(Ordering::Acquire);
    let copy = folder.path().join("copy.db");
    let output = tokio::task::block_in_place(|| run(folder.path(), &["backup", "--to", "copy.db"]));
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let after = written.load(Ordering::Acquire);
    until("writes after the copy", || async {
        written.load(Ordering::Acquire) > after + 2
    })
    .await;
    has_ended.store(true, Ordering::Release);
    writer.await.unwrap();
    assert!(fs::metadata(&copy).unwrap().len() > 2_000 * BEFORE as u64);

    // Another place, another gateway.
    let elsewhere = TempDir::new().unwrap();
    shop().write_to(elsewhere.path());
    let output = run(
        elsewhere.path(),
        &["restore", "--from", &copy.display().to_string()],
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "restored");
    let restored = shop().start_in(elsewhere.path());
    for key in 0..before {
        assert!(has(&restored, key).await, "k{key} of {before} is lost");
    }
    let all = written.load(Ordering::Acquire);
    assert!(!has(&restored, all - 1).await, "it is no copy of then");
    // It goes on from there.
    write(&restored, all + 1).await;
}

#[tokio::test]
async fn a_copy_goes_through_a_pipe_and_what_was_there_is_kept() {
    let folder = TempDir::new().unwrap();
    let mut gateway = shop().start_in(folder.path());
    write(&gateway, 1).await;
    let copy = folder.path().join("copy.db");
    let mut backup = command(folder.path(), &["backup"]);
    backup.stdout(File::create(&copy).unwrap());
    assert!(backup.stderr(Stdio::null()).status().unwrap().success());
    let left = fs::read_dir(folder.path().join(".wasmgate")).unwrap();
    let left: Vec<_> = left.map(|each| each.unwrap().file_name()).collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().contains("backup")),
        "{left:?}"
    );
    write(&gateway, 2).await;
    gateway.signal(Signal::Terminate);
    gateway.ended().await;

    let mut restore = command(folder.path(), &["restore"]);
    restore.stdin(File::open(&copy).unwrap());
    let output = output_of(restore);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Where there is no configuration, as in a pod that is lent the volume of another.
    let lent = TempDir::new().unwrap();
    let output = run(
        lent.path(),
        &[
            "restore",
            "--data",
            ".wasmgate",
            "--from",
            &copy.display().to_string(),
        ],
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "restored");
    let other = shop().start_in(lent.path());
    assert!(has(&other, 1).await && !has(&other, 2).await);

    let gateway = shop().start_in(folder.path());
    assert!(has(&gateway, 1).await && !has(&gateway, 2).await);
    let kept = told.trim().rsplit(' ').next().unwrap();
    assert!(folder.path().join(kept).join("dapr.db").is_file(), "{told}");
}

#[tokio::test]
async fn what_is_no_copy_is_refused_and_so_are_data_in_use_and_nothing_is_changed() {
    let folder = TempDir::new().unwrap();
    let mut gateway = shop().start_in(folder.path());
    write(&gateway, 1).await;
    let output = run(folder.path(), &["backup", "--to", "copy.db"]);
    assert_eq!(output.status.code(), Some(0));
    let again = run(folder.path(), &["backup", "--to", "copy.db"]);
    assert_eq!(
        again.status.code(),
        Some(IO_ERROR),
        "a file is written over"
    );

    let refused = |from: &str, words: &str| {
        let output = run(folder.path(), &["restore", "--from", from]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(IO_ERROR), "{from}: {told}");
        assert!(told.contains(words), "{from}: {told}");
    };
    refused("copy.db", "in use by another process");
    gateway.signal(Signal::Terminate);
    gateway.ended().await;

    let whole = fs::read(folder.path().join("copy.db")).unwrap();
    let mut damaged = whole.clone();
    damaged[4096..8192].fill(0xff);
    for (name, bytes) in [
        ("empty.db", Vec::new()),
        ("text.db", b"no database".repeat(1000)),
        ("half.db", whole[..whole.len() / 2].to_vec()),
        ("damaged.db", damaged),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        refused(name, name);
    }
    refused("nowhere.db", "nowhere.db");
    // It has no end, and would fill the disk.
    refused("/dev/zero", "it is no database");
    let gateway = shop().start_in(folder.path());
    assert!(has(&gateway, 1).await);
}

#[test]
fn a_copy_of_nothing_and_of_a_sidecars_data_is_refused_with_a_word() {
    let folder = TempDir::new().unwrap();
    shop().write_to(folder.path());
    let output = run(folder.path(), &["backup", "--to", "copy.db"]);
    assert_eq!(output.status.code(), Some(IO_ERROR));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("nothing is kept there"), "{told}");
    assert!(!folder.path().join("copy.db").exists());
    shop().dapr("mode = \"sidecar\"").write_to(folder.path());
    let output = run(folder.path(), &["backup", "--to", "copy.db"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("sidecar"));
}
