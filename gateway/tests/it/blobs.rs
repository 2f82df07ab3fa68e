//! `wasi:blobstore`: other people's components keep objects in the folders that their package names.

use std::{fs, os::unix::fs::OpenOptionsExt as _, process::Command};

use rustix::fs::OFlags;

use crate::harness::{Builder, Reply, TestGateway, Upstream, run, until};

fn keeper(lines: &str) -> Builder {
    TestGateway::builder().guest_as("keeper", "keeps_blobs", lines)
}

const GRANTED: &str =
    r#"blobstore = { images = { folder = "uploads/images", size = "4104KiB" }, other = { folder = "uploads/other" } }"#;

async fn ask(gateway: &TestGateway, query: &str, body: impl Into<bytes::Bytes>) -> Reply {
    gateway.post(&format!("/keeper?{query}"), body).await
}

async fn told(gateway: &TestGateway, query: &str) -> String {
    ask(gateway, query, "").await.is(200).text()
}

#[tokio::test]
async fn an_object_is_written_read_in_part_and_whole_copied_moved_and_deleted() {
    let gateway = keeper(GRANTED).start();
    for (how, name) in [
        ("write", "b"),
        ("write-early", "a%2Fc..%2F"),
        ("write", ".."),
    ] {
        let query = format!("do={how}&in=images&name={name}");
        assert_eq!(
            ask(&gateway, &query, "0123456789").await.is(200).text(),
            "written"
        );
        let read = |start: u64, end: u64| format!("do=read&in=images&name={name}&start={start}&end={end}");
        assert_eq!(told(&gateway, &read(0, u64::MAX)).await, "10 0123456789");
        assert_eq!(told(&gateway, &read(2, 4)).await, "3 234");
        assert_eq!(told(&gateway, &read(9, 20)).await, "1 9");
        assert_eq!(told(&gateway, &read(20, 30)).await, "0 ");
    }
    let told = |query: &'static str| told(&gateway, query);
    assert_eq!(told("do=about&in=images").await, "images true");
    assert_eq!(told("do=info&in=images&name=b").await, "b images 10");
    assert_eq!(told("do=has&in=other&name=b").await, "false");
    assert_eq!(
        told("do=list&in=images").await,
        r#"1 ["a%2Fc..%2F"] ["b"] true"#
    );
    assert_eq!(told("do=copy&in=images&name=b").await, "Ok(())");
    assert_eq!(told("do=move&in=images&name=b").await, "Ok(())");
    for (name, is) in [("b", "false"), ("copied", "true"), ("moved", "true")] {
        let query = format!("do=has&in=images&name={name}");
        assert_eq!(self::told(&gateway, &query).await, is, "{name}");
    }
    assert_eq!(told("do=delete&in=images&name=moved").await, "Ok(())");
    assert_eq!(told("do=delete&in=images&name=moved").await, "Ok(())");
    assert_eq!(told("do=clear&in=images").await, "Ok(())");
    assert_eq!(told("do=has&in=images&name=copied").await, "false");
    assert_eq!(
        fs::read_dir(gateway.folder().join("uploads/images"))
            .unwrap()
            .count(),
        0
    );
    let refused = told("do=remove&in=images").await;
    assert!(refused.contains("its operator's"), "{refused}");
}

#[tokio::test]
async fn what_is_large_streams_in_and_out_and_no_more_than_may_be_is_kept() {
    let lines = format!("{GRANTED}\nlimits = {{ memory = \"8MiB\", request_body = \"64MiB\" }}");
    let gateway = keeper(&lines).start();
    // With four kilobytes for each of two objects there is room for four megabytes.
    let large: Vec<u8> = (0..3 << 20).map(|at: u32| (at % 251) as u8).collect();
    for _ in 0..3 {
        // An object in the place of another does not count twice.
        let half = large.get(..1 << 20).unwrap().to_vec();
        ask(&gateway, "do=write&in=images&name=k", half)
            .await
            .is(200);
    }
    ask(&gateway, "do=write&in=images&name=l", large.clone())
        .await
        .is(200);
    let back = ask(&gateway, "do=stream&in=images&name=l", "")
        .await
        .is(200);
    assert!(back.body == large);
    let full = ask(&gateway, "do=write&in=images&name=m", large.clone())
        .await
        .is(409);
    assert!(!full.text().is_empty());
    // What was not finished leaves nothing, whether it failed or was left.
    ask(&gateway, "do=delete&in=images&name=k", "")
        .await
        .is(200);
    ask(&gateway, "do=leave&in=images&name=n", "left")
        .await
        .is(200);
    let folder = gateway.folder().join("uploads/images");
    until("parts to be gone", || async {
        fs::read_dir(&folder).unwrap().count() == 1
    })
    .await;
    let one = large.get(..1 << 20).unwrap().to_vec();
    ask(&gateway, "do=write&in=images&name=o", one)
        .await
        .is(200);
}

#[tokio::test]
async fn without_a_grant_there_is_no_container() {
    for lines in ["", r#"blobstore = { images = { folder = "uploads" } }"#] {
        let gateway = keeper(lines).start();
        for name in ["other", "", "..", "uploads"] {
            let query = format!("do=has&in={name}&name=k");
            let reply = ask(&gateway, &query, "").await.is(404);
            assert!(
                reply.text().contains("there is no container"),
                "{}",
                reply.text()
            );
        }
        gateway
            .wait_for_event(&[("package", "keeper"), ("container", "uploads")])
            .await;
    }
}

#[tokio::test]
async fn a_guest_has_no_more_blobs_open_than_its_part() {
    let gateway = keeper(GRANTED).start();
    ask(&gateway, "do=write&in=images&name=k", "here")
        .await
        .is(200);
    let opened = told(&gateway, "do=open-many&in=images&name=k&times=5000").await;
    assert_eq!(opened, "256");
    assert_eq!(told(&gateway, "do=has&in=images&name=k").await, "true");
}

/// Requests that wait for the disk: more than Tokio has threads for a worker.
const MANY: usize = 600;

#[tokio::test]
async fn a_package_whose_disk_stands_still_keeps_no_other_from_its_disk_and_its_calls() {
    let upstream = Upstream::start().await;
    let origin = format!("http://localhost:{}", upstream.address.port());
    let gateway = keeper(GRANTED)
        .server("workers = 1")
        .limits("timeout = \"10m\"")
        .guest_as("reads", "reads_files", r#"files = { "/" = "assets" }"#)
        .guest_as(
            "other",
            "keeps_blobs",
            r#"blobstore = { images = { folder = "more" } }"#,
        )
        .guest_as("other-reads", "reads_files", r#"files = { "/" = "fine" }"#)
        .guest_with("calls_out", &format!("outbound = [{origin:?}]"))
        .file("fine/page", "here")
        .file("assets/page", "here")
        .start();
    for (package, folder, target) in [
        (
            "keeper",
            "uploads/images",
            "/keeper?do=read&in=images&name=stuck&start=0&end=9",
        ),
        ("reads", "assets", "/reads?do=read&path=/stuck"),
    ] {
        // Whoever opens it waits until somebody writes to it.
        let folder = gateway.folder().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let stuck = folder.join("stuck");
        assert!(
            Command::new("mkfifo")
                .arg(&stuck)
                .status()
                .unwrap()
                .success()
        );
        let mut held = Vec::new();
        for _ in 0..MANY {
            let mut connection = gateway.raw().await;
            let request = format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
            connection.send(request).await;
            held.push(connection);
        }
        gateway.wait_for_in_flight(package, MANY as u64).await;
        // Again and again, as those that are to be stuck come to it one after another.
        for _ in 0..20 {
            let reply = gateway
                .post("/other?do=write&in=images&name=k", "here")
                .await;
            assert_eq!(reply.is(200).text(), "written");
            let reply = gateway
                .post("/other?do=read&in=images&name=k&start=0&end=9", "")
                .await;
            assert_eq!(reply.is(200).text(), "4 here");
            let reply = gateway.get("/other-reads?do=read&path=/page").await;
            assert_eq!(reply.is(200).text(), "here");
            let reply = gateway.get(&format!("/calls-out?to={origin}/path")).await;
            assert_eq!(reply.text(), "GET /path");
        }
        let threads = gateway.status("Threads");
        assert!(threads < 100, "{threads}");
        // Each time that somebody opens it to write, those go on who wait by then.
        let mut opening = fs::OpenOptions::new();
        opening
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        until("all of them to be answered", || async {
            drop(opening.open(&stuck));
            let in_flight = [("package", package)];
            let metrics = gateway.metrics().await;
            metrics.sum("wasmgate_instances_in_flight", &in_flight) == 0.0
        })
        .await;
    }
}

#[test]
fn check_tells_of_a_component_without_containers_and_of_a_folder_that_is_none() {
    for (lines, words) in [
        (
            "",
            "imports wasi:blobstore/types@0.2.0-draft and has no `blobstore`",
        ),
        (
            r#"blobstore = { a = { size = "1MiB" } }"#,
            "the container has no folder",
        ),
        (
            r#"blobstore = { a = { folder = "wasmgate.toml" } }"#,
            "is no folder",
        ),
        (
            r#"blobstore = { a = { folder = "." } }"#,
            "the configuration is there",
        ),
        (
            r#"blobstore = { a = { folder = ".wasmgate/cache/new" } }"#,
            "compiled code is there",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join(".wasmgate/cache");
        keeper(lines).cache(&cache).write_to(folder.path());
        let output = run(folder.path(), &["check"]);
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains(words), "{told}");
    }
}
