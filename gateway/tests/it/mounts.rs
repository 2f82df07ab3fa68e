//! Folders that a package's guests may read (`files`), and nothing besides.

use std::{fs, os::unix::fs::symlink, path::Path};

use futures_util::future::join_all;

use crate::harness::{Builder, Reply, Signal, TestGateway, run, until};

fn reader(lines: &str) -> Builder {
    TestGateway::builder()
        .guest_as("reads", "reads_files", lines)
        .file("assets/index.html", "<h1>here</h1>")
        .file("assets/img/cup.svg", "<svg/>")
        .file("secret.txt", "the configuration's neighbour")
        .file("other/page.html", "another")
}

const GRANTED: &str = r#"files = { "/" = "assets", "/more" = "other" }"#;

async fn told(gateway: &TestGateway, what: &str, path: &str) -> Reply {
    gateway.get(&format!("/reads?do={what}&path={path}")).await
}

#[tokio::test]
async fn a_guest_reads_the_folders_that_are_named_where_it_is_to_see_them() {
    let gateway = reader(GRANTED).start();
    for (what, path, expected) in [
        ("read", "/index.html", "<h1>here</h1>"),
        ("read", "index.html", "<h1>here</h1>"),
        ("read", "/img/../img/./cup.svg", "<svg/>"),
        ("read", "/more/page.html", "another"),
        ("list", "/", "img index.html"),
        ("list", "/more", "page.html"),
        ("stat", "/index.html", "13"),
    ] {
        let reply = told(&gateway, what, path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text()),
            (200, expected.to_owned())
        );
    }
    assert_eq!(told(&gateway, "read", "/missing").await.status, 404);
}

#[tokio::test]
async fn without_a_grant_there_is_no_file_at_all() {
    let gateway = reader("").start();
    for path in ["/", ".", "/index.html", "/etc/passwd", "assets"] {
        for what in ["read", "list", "stat", "write"] {
            let reply = told(&gateway, what, path).await;
            assert_eq!(reply.status, 404, "{what} {path}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn nothing_can_be_changed() {
    let gateway = reader(GRANTED).start();
    for what in ["write", "append", "remove", "rename", "link", "make"] {
        for path in ["/index.html", "/new", "/img"] {
            let reply = told(&gateway, what, path).await;
            assert_eq!(reply.status, 404, "{what} {path}: {}", reply.text());
        }
    }
    let assets = gateway.folder().join("assets");
    assert_eq!(names(&assets), ["img", "index.html"]);
    let page = fs::read_to_string(assets.join("index.html")).unwrap();
    assert_eq!(page, "<h1>here</h1>");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn no_path_and_no_link_leads_out_of_the_folder() {
    let gateway = reader(GRANTED).start();
    let (folder, assets) = (gateway.folder(), gateway.folder().join("assets"));
    symlink("../secret.txt", assets.join("out")).unwrap();
    symlink(
        folder.join("secret.txt"),
        assets.join("out-by-its-whole-path"),
    )
    .unwrap();
    symlink("..", assets.join("up")).unwrap();
    symlink("/", assets.join("root")).unwrap();
    symlink("img/../../secret.txt", assets.join("around")).unwrap();
    symlink("index.html", assets.join("within")).unwrap();
    for path in [
        "/out",
        "/out-by-its-whole-path",
        "/up/secret.txt",
        "/root/etc/passwd",
        "/around",
        "/../secret.txt",
        "/../../../../../../etc/passwd",
        "/img/../../secret.txt",
        "/more/../../secret.txt",
        "../secret.txt",
        "/etc/passwd",
        "/proc/self/environ",
        "/more/../assets/index.html",
    ] {
        for what in ["read", "stat", "open-many"] {
            let reply = told(&gateway, what, &format!("{path}&times=1")).await;
            let text = reply.text();
            assert!(
                reply.status == 404 || text == "0",
                "{what} {path}: {} {text}",
                reply.status
            );
        }
    }
    let within = told(&gateway, "read", "/within").await;
    assert_eq!(within.text(), "<h1>here</h1>");
}

fn open_files(gateway: &TestGateway) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fd", gateway.pid()));
    files.unwrap().count()
}

#[tokio::test]
async fn a_guest_that_opens_file_after_file_takes_no_more_than_its_part() {
    let gateway = reader(GRANTED).guest("hello").start();
    let before = open_files(&gateway);
    let many = join_all((0..4).map(|_| told(&gateway, "open-many", "/index.html&times=5000")));
    for reply in many.await {
        let opened: usize = reply.is(200).text().parse().unwrap();
        assert!((200..=256).contains(&opened), "{opened}");
    }
    let in_turn = told(&gateway, "open-in-turn", "/index.html&times=2000").await;
    assert_eq!(in_turn.text(), "true");
    assert_eq!(gateway.get("/hello").await.status, 200);
    until("the files to be closed", || async {
        open_files(&gateway) <= before + 20
    })
    .await;
}

#[tokio::test]
async fn what_is_read_ahead_of_files_counts_as_the_guests_memory() {
    let lines = format!("{GRANTED}\nlimits = {{ memory = \"16MiB\" }}");
    let gateway = reader(&lines).start();
    let few = told(&gateway, "stream-many", "/index.html&times=100").await;
    assert_eq!(few.text(), "100");
    let many = told(&gateway, "stream-many", "/index.html&times=1000").await;
    many.assert_error(502, "memory-limit");
    let after = told(&gateway, "read", "/index.html").await;
    assert_eq!(after.text(), "<h1>here</h1>");
}

#[tokio::test]
async fn what_is_changed_or_swapped_in_is_seen_at_once_and_a_reload_sees_other_folders() {
    let gateway = reader(GRANTED).start();
    let folder = gateway.folder();
    let read = || async { told(&gateway, "read", "/index.html").await.text() };
    assert_eq!(read().await, "<h1>here</h1>");
    fs::write(folder.join("assets/index.html"), "changed").unwrap();
    assert_eq!(read().await, "changed");
    fs::create_dir(folder.join("next")).unwrap();
    fs::write(folder.join("next/index.html"), "next").unwrap();
    fs::rename(folder.join("assets"), folder.join("before")).unwrap();
    // Meanwhile there is nothing, and that is no failure of the package.
    assert_eq!(told(&gateway, "read", "/index.html").await.status, 404);
    assert_eq!(
        told(&gateway, "read", "/more/page.html").await.text(),
        "another"
    );
    fs::rename(folder.join("next"), folder.join("assets")).unwrap();
    assert_eq!(read().await, "next");
    let file = folder.join("wasmgate.toml");
    let toml = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        toml.replace(r#""/" = "assets""#, r#""/" = "before""#),
    )
    .unwrap();
    gateway.signal(Signal::Hangup);
    until("the folder of the new configuration", || async {
        read().await == "changed"
    })
    .await;
}

#[test]
fn a_folder_that_is_wrong_is_told_with_its_line() {
    for (lines, words) in [
        (r#"files = { "/" = "nowhere" }"#, "there is no folder"),
        (r#"files = { "/" = "secret.txt" }"#, "there is no folder"),
        (r#"files = { "/" = "." }"#, "the configuration is there"),
        (r#"files = { "/" = "/" }"#, "the configuration is there"),
        (
            r#"files = { "/" = ".wasmgate/../.wasmgate" }"#,
            "the data of the building blocks is there",
        ),
        (
            r#"files = { "/" = ".wasmgate/cache" }"#,
            "compiled code is there",
        ),
        (
            r#"files = { "/" = "/proc/self" }"#,
            "this one's environment",
        ),
        (r#"files = { "assets" = "assets" }"#, "no place in a guest"),
        (r#"files = { "/a/.." = "assets" }"#, "no place in a guest"),
        (
            r#"files = { "/a" = "assets", "/a/" = "other" }"#,
            "/a is there twice",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join(".wasmgate/cache");
        fs::create_dir_all(&cache).unwrap();
        reader(lines).cache(&cache).write_to(folder.path());
        let output = run(folder.path(), &["check"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains(words) && told.contains("package.reads.files"),
            "{told}"
        );
    }
}
