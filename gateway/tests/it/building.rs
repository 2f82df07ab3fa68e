//! `wasmgate build` and what `up` builds: each way in which a build ends has its word and its exit code.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::harness::{Builder, TestGateway, command, guest, run, until};

/// `EX_USAGE`, `EX_SOFTWARE`, and that of what Ctrl-C ended.
const USAGE: i32 = 64;
const NOT_BUILT: i32 = 70;
const INTERRUPTED: i32 = 130;

/// A package whose component the command makes, as a file of its name beside the configuration.
fn built(builder: Builder, name: &str, script: &str, more: &str) -> Builder {
    let build = format!("build = {{ command = '{script}'{more} }}");
    builder
        .package(name, Path::new(&format!("{name}.wasm")), &build)
        .route(&format!("/{name}"), name)
}

fn one(script: &str) -> Builder {
    built(TestGateway::builder(), "site", script, "")
}

/// The command that makes a component.
fn copies(example: &str, name: &str) -> String {
    format!("cp {} {name}.wasm", guest(example).display())
}

fn folder_of(builder: &Builder) -> TempDir {
    let folder = TempDir::new().unwrap();
    builder.write_to(folder.path());
    folder
}

/// Runs a command; answers its code, and both outputs.
fn told(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = run(folder, arguments);
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    (status.code(), stdout, stderr)
}

#[track_caller]
fn refused(builder: &Builder, arguments: &[&str], code: i32, words: &str) {
    let folder = folder_of(builder);
    let (ended, stdout, stderr) = told(folder.path(), arguments);
    assert_eq!(ended, Some(code), "{stderr}");
    assert!(stderr.contains(words), "{stdout}{stderr}");
}

#[test]
fn a_build_has_a_line_with_time_and_size_and_the_output_of_its_tool() {
    let script = format!("echo \"$GREETING\"; {}", copies("hello", "site"));
    let folder = folder_of(&one(&script));
    let mut build = command(folder.path(), &["build"]);
    build.env("GREETING", "from the shell");
    let Output { stdout, stderr, .. } = crate::harness::output_of(build);
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    let size = fs::metadata(folder.path().join("site.wasm")).unwrap().len();
    let size = format!("{:.1} KiB", size as f64 / 1024.0);
    assert!(
        stdout.starts_with("site: built in ") && stdout.contains(&size),
        "{stdout}"
    );
    assert!(
        stderr.lines().any(|line| line == "from the shell"),
        "{stderr}"
    );
    // What is as it was is said to be that.
    one("true").write_to(folder.path());
    let (code, stdout, stderr) = told(folder.path(), &["build", "site"]);
    assert_eq!(
        (code, stdout.starts_with("site: unchanged in ")),
        (Some(0), true),
        "{stdout}{stderr}"
    );
}

#[test]
fn each_way_to_fail_has_its_word_and_its_code() {
    for (script, code, words) in [
        (
            "no-such-tool --release",
            NOT_BUILT,
            "was not found: `no-such-tool --release`",
        ),
        (
            "./wasmgate.toml",
            NOT_BUILT,
            "cannot be run: `./wasmgate.toml`",
        ),
        ("echo why >&2; exit 3", NOT_BUILT, "failed with exit code 3"),
        ("kill -9 $$", NOT_BUILT, "was killed by signal 9"),
        (
            "sh -c \"kill -15 \\$\\$\"; exit $?",
            NOT_BUILT,
            "was killed by signal 15",
        ),
        ("true", NOT_BUILT, "ended well, and did not make site.wasm"),
        (
            ": > site.wasm",
            NOT_BUILT,
            "ended well, and did not make site.wasm",
        ),
        (
            "printf \"\\0asm\\1\\0\\0\\0\" > site.wasm",
            USAGE,
            "is a core module, and a component is needed",
        ),
        ("echo text > site.wasm", USAGE, "is not WebAssembly"),
    ] {
        refused(&one(script), &["build"], code, words);
    }
    let place = "wasmgate.toml:";
    refused(&one("exit 3"), &["build"], NOT_BUILT, place);
    refused(
        &one("exit 3"),
        &["build"],
        NOT_BUILT,
        ": package.site.build.command: the build command failed",
    );
    let elsewhere = built(
        TestGateway::builder(),
        "site",
        "true",
        ", workdir = \"nowhere\"",
    );
    refused(
        &elsewhere,
        &["build"],
        NOT_BUILT,
        "the folder nowhere of the build command is not there",
    );
}

#[test]
fn a_build_that_hangs_is_ended_after_its_time_with_all_that_it_started() {
    let script = "sleep 1000 & echo $! > child; trap \"\" TERM; sleep 1000; sleep 1000";
    let builder = built(TestGateway::builder(), "site", script, ", timeout = \"1s\"");
    let folder = folder_of(&builder);
    let (code, _, stderr) = told(folder.path(), &["build"]);
    assert_eq!(code, Some(NOT_BUILT), "{stderr}");
    assert!(
        stderr.contains("took longer than 1s and was ended"),
        "{stderr}"
    );
    gone(folder.path());
}

/// Waits for the end of what a command has started, which was killed and takes a moment to be gone on a busy machine.
fn gone(folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while is_running(folder) {
        assert!(Instant::now() < deadline, "it goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the process whose number a command has written is there.
fn is_running(folder: &Path) -> bool {
    let pid = fs::read_to_string(folder.join("child")).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[tokio::test]
async fn ctrl_c_ends_a_build_and_all_that_it_started() {
    let folder = folder_of(&one(
        "sleep 1000 & echo $! > started; mv started child; sleep 1000",
    ));
    let mut build = command(folder.path(), &["build"]).spawn().unwrap();
    until("the build", async || folder.path().join("child").exists()).await;
    assert!(is_running(folder.path()));
    let pid = build.id().to_string();
    assert!(
        Command::new("sh")
            .args(["-c", &format!("kill -INT {pid}")])
            .status()
            .unwrap()
            .success()
    );
    let ended = tokio::task::spawn_blocking(move || build.wait().unwrap());
    let ended = crate::harness::within("the end", ended).await.unwrap();
    assert_eq!(ended.code(), Some(INTERRUPTED));
    gone(folder.path());
}

#[test]
fn packages_in_folders_of_their_own_are_built_at_once_and_their_output_is_told_apart() {
    let mut builder = TestGateway::builder();
    for (own, other) in [("one", "two"), ("two", "one")] {
        // Neither ends before the other has begun.
        let script = format!(
            "echo at work; : > ../{own}.begun; until [ -e ../{other}.begun ]; do sleep 0.01; done; {}",
            copies("hello", &format!("../{own}"))
        );
        let more = format!(", workdir = \"{own}\", timeout = \"50s\"");
        builder = built(builder, own, &script, &more).file(&format!("{own}/source"), "");
    }
    let folder = folder_of(&builder);
    let (code, stdout, stderr) = told(folder.path(), &["build"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        ["one | at work", "two | at work"]
            .iter()
            .all(|line| stderr.lines().any(|shown| shown == *line)),
        "{stderr}"
    );
    let lines: Vec<_> = stdout.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("one: built") && lines[1].starts_with("two: built"),
        "{stdout}"
    );
}

#[test]
fn packages_that_share_a_command_are_built_by_one_run_and_others_in_the_folder_after_it() {
    let both = format!(
        "echo both >> runs; {}; {}",
        copies("hello", "one"),
        copies("hello", "two")
    );
    // It would find no lock of the other at work.
    let third = format!(
        "[ ! -e lock ] || exit 1; echo third >> runs; {}",
        copies("hello", "three")
    );
    let mut builder = TestGateway::builder();
    for name in ["one", "two"] {
        builder = built(
            builder,
            name,
            &format!(": > lock; {both}; sleep 0.2; rm lock"),
            "",
        );
    }
    let folder = folder_of(&built(builder, "three", &third, ""));
    let (code, stdout, stderr) = told(folder.path(), &["build"]);
    assert_eq!((code, stdout.lines().count()), (Some(0), 3), "{stderr}");
    let runs = fs::read_to_string(folder.path().join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 2, "{runs}");
    // One that fails leaves the others built.
    let failing = built(one(&copies("hello", "site")), "bad", "exit 1", "");
    let folder = folder_of(&failing);
    let (code, stdout, stderr) = told(folder.path(), &["build"]);
    assert_eq!(code, Some(NOT_BUILT), "{stderr}");
    assert!(
        stdout.starts_with("site: built") && !stdout.contains("bad"),
        "{stdout}"
    );
}

#[test]
fn names_that_cannot_be_built_are_told() {
    let with = one(&copies("hello", "site")).package("other", &guest("hello"), "");
    refused(
        &with,
        &["build", "sight"],
        USAGE,
        "packages with a build command: site",
    );
    refused(
        &with,
        &["build", "other"],
        USAGE,
        "add [package.other.build]",
    );
    let without = TestGateway::builder().package("other", &guest("hello"), "");
    refused(
        &without,
        &["build"],
        USAGE,
        "no package in wasmgate.toml has a build command",
    );
    // A package that something else builds does not keep this one from being built.
    let missing = one(&copies("hello", "site")).package("other", Path::new("other.wasm"), "");
    let folder = folder_of(&missing);
    let (code, _, stderr) = told(folder.path(), &["build"]);
    assert_eq!(code, Some(0), "{stderr}");
    for (wrong, words) in [
        ("build = {}", "the build has no command"),
        ("build = { command = ' ' }", "the build command is empty"),
        (
            "build = { command = 'x', watch = ['src/[a'] }",
            "names no files",
        ),
        ("build = { command = 'x', timeout = '0s' }", "out of range"),
        ("build = { comand = 'x' }", "there is no key \"comand\""),
    ] {
        refused(
            &TestGateway::builder().package("x", &guest("hello"), wrong),
            &["check"],
            USAGE,
            words,
        );
    }
}

#[tokio::test]
async fn up_builds_what_is_missing_and_nothing_else_unless_told() {
    let script = format!("echo run >> runs; {}", copies("hello", "site"));
    let folder = folder_of(&one(&script));
    let runs = || {
        fs::read_to_string(folder.path().join("runs"))
            .unwrap_or_default()
            .lines()
            .count()
    };
    // A check and a reload never build.
    let (code, _, stderr) = told(folder.path(), &["check"]);
    assert_eq!((code, runs()), (Some(USAGE), 0));
    assert!(stderr.contains("run `wasmgate build site`"), "{stderr}");
    let gateway = TestGateway::spawn(command(folder.path(), &["up"]));
    assert_eq!(
        (gateway.get("/site").await.status.as_u16(), runs()),
        (200, 1)
    );
    fs::remove_file(folder.path().join("site.wasm")).unwrap();
    gateway.signal(crate::harness::Signal::Hangup);
    gateway
        .wait_for_metric("wasmgate_reloads_total", &[("result", "rejected")], 1)
        .await;
    assert_eq!(runs(), 1);
    drop(gateway);
    drop(TestGateway::spawn(command(folder.path(), &["up"])));
    assert_eq!(runs(), 2);
    drop(TestGateway::spawn(command(folder.path(), &["up"])));
    assert_eq!(runs(), 2);
    drop(TestGateway::spawn(command(
        folder.path(),
        &["up", "--build"],
    )));
    assert_eq!(runs(), 3);
    // Nothing is served that could not be built.
    one("exit 4").write_to(folder.path());
    let (code, _, stderr) = told(folder.path(), &["up", "--build"]);
    assert_eq!(code, Some(NOT_BUILT), "{stderr}");
}
