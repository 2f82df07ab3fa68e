//! The first minutes: what is typed by who comes from another tool, or in the wrong place, is answered with what is
//! meant.

use std::{fs, net::TcpListener, path::Path};

use crate::harness::{TestGateway, run};

/// `EX_USAGE` and `EX_UNAVAILABLE`.
const USAGE: i32 = 64;
const UNAVAILABLE: i32 = 69;

/// What both outputs say, and the exit code.
fn told(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let ended = run(folder, arguments);
    let both = [ended.stdout, ended.stderr].concat();
    (ended.status.code(), String::from_utf8(both).unwrap())
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str], code: i32, words: &str) {
    let (ended, text) = told(folder, arguments);
    assert_eq!(ended, Some(code), "{text}");
    assert!(text.contains(words), "{text}");
}

#[test]
fn who_has_no_project_is_told_to_make_one_and_who_is_below_one_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["up", "build", "check", "routes", "compile"] {
        refused(
            folder.path(),
            &[command],
            USAGE,
            "make a project with `wasmgate new NAME`, or name another file",
        );
    }
    refused(
        folder.path(),
        &["check", "other.toml"],
        USAGE,
        "write the file, or name another one",
    );
    let below = folder.path().join("src/deep");
    fs::create_dir_all(&below).unwrap();
    fs::write(folder.path().join("wasmgate.toml"), "").unwrap();
    let there = folder.path().canonicalize().unwrap().join("wasmgate.toml");
    let words = format!("name {}, or change to its folder", there.display());
    refused(&below.canonicalize().unwrap(), &["up"], USAGE, &words);
}

#[test]
fn the_words_of_other_tools_are_answered_with_those_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    for (word, command) in [
        ("dev", "'up --watch'"),
        ("serve", "'up'"),
        ("init", "'new'"),
        ("publish", "'push'"),
    ] {
        refused(folder.path(), &[word], USAGE, command);
    }
}

#[test]
fn an_address_that_is_none_is_answered_with_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("wasmgate.toml"), "").unwrap();
    for (address, port) in [
        ("3001", 3001),
        (":3002", 3002),
        ("localhost:3003", 3003),
        ("nowhere", 3000),
    ] {
        let words = format!("127.0.0.1:{port} is for this machine alone");
        refused(folder.path(), &["up", "--listen", address], USAGE, &words);
    }
}

#[test]
fn an_address_of_the_command_line_that_is_taken_is_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("wasmgate.toml"), "").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (option, other) in [("--listen", "--admin"), ("--admin", "--listen")] {
        let words = format!("error: {option}: cannot listen on {address}");
        refused(
            folder.path(),
            &["up", option, &address, other, "127.0.0.1:0"],
            UNAVAILABLE,
            &words,
        );
    }
}

#[test]
fn a_configuration_without_any_route_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    TestGateway::builder()
        .package("site", &crate::harness::guest("hello"), "")
        .write_to(folder.path());
    let (ended, text) = told(folder.path(), &["check"]);
    assert_eq!(ended, Some(0), "{text}");
    assert!(
        text.contains("note: there is no [[route]], and so every request is answered with 404 (no-route)"),
        "{text}"
    );
}

#[tokio::test]
async fn a_reload_is_told_in_words_and_times_as_dates() {
    let hello = || TestGateway::builder().guest_as("site", "hello", "");
    let gateway = hello().start();
    let admin = gateway.admin.to_string();
    let echo = hello().guest_as("second", "echo", "");
    echo.write_to(gateway.folder());
    let reload = ["reload", "--admin", &admin];
    let (ended, text) = told(gateway.folder(), &reload);
    assert_eq!(ended, Some(0), "{text}");
    assert!(
        text.starts_with("reloaded in ") && text.ends_with(" ms: 2 packages and 2 routes\nadded: second"),
        "{text}"
    );
    echo.server("workers = 3").write_to(gateway.folder());
    let (_, text) = told(gateway.folder(), &reload);
    assert!(
        text.ends_with("\nfrom the next start on: server.workers"),
        "{text}"
    );
    let (_, text) = told(gateway.folder(), &[&reload[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["packages"], 2);
    let (_, text) = told(gateway.folder(), &["status", "--admin", &admin]);
    let since = text
        .split("as configured at ")
        .nth(1)
        .and_then(|rest| rest.lines().next())
        .unwrap_or_default();
    assert!(humantime::parse_rfc3339(since).is_ok(), "{text}");
}

#[tokio::test]
async fn who_calls_another_listener_than_the_admin_one_is_told_so() {
    let gateway = TestGateway::builder().guest_as("site", "hello", "").start();
    let public = gateway.address.to_string();
    for command in ["status", "reload"] {
        let folder = gateway.folder();
        let (ended, text) = told(folder, &[command, "--admin", &public]);
        assert_eq!(ended, Some(69), "{text}");
        let words = format!("what answers at {public} is no gateway's admin listener");
        assert!(text.contains(&words), "{text}");
    }
}
