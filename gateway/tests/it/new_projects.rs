//! `wasmgate new` and `wasmgate add`: what they make builds, passes its own tests and serves, outside of this
//! repository; and nothing is written over.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{TestGateway, command, run, until};

/// `EX_USAGE` and `EX_CANTCREAT`.
const USAGE: i32 = 64;
const CANNOT_CREATE: i32 = 73;

#[track_caller]
fn wasmgate(folder: &Path, arguments: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = run(folder, arguments);
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(status.success(), "{arguments:?}: {stderr}");
    stdout
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str], code: i32, words: &str) {
    let Output { status, stderr, .. } = run(folder, arguments);
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{arguments:?}: {told}");
    assert!(told.contains(words), "{arguments:?}: {told}");
}

/// Runs Cargo as a user would, with the versions of crates that this repository has, so that no network is needed; what
/// it builds is kept for the next run.
#[track_caller]
fn cargo(package: &Path, arguments: &[&str]) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::copy(repository.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    let target = new_projects();
    fs::create_dir_all(&target).unwrap();
    if !package.join("target").exists() {
        std::os::unix::fs::symlink(&target, package.join("target")).unwrap();
    }
    let output = Command::new("cargo")
        .args(arguments)
        .arg("--offline")
        .current_dir(package)
        .env("RUSTUP_TOOLCHAIN", toolchain(&repository))
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {told}");
    assert!(!told.contains("warning"), "cargo {arguments:?}: {told}");
}

/// The target folder of all new projects, each of a name of its own: the SDK and what it needs are built once.
pub(crate) fn new_projects() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("new")
}

fn toolchain(repository: &Path) -> String {
    let file = fs::read_to_string(repository.join("rust-toolchain.toml")).unwrap();
    let channel = file
        .lines()
        .find_map(|line| line.strip_prefix("channel = "));
    channel.unwrap().trim_matches('"').to_owned()
}

const BUILD: [&str; 4] = ["build", "--release", "--target", "wasm32-wasip2"];

/// A new project of a template, built and tested.
fn made(name: &str, template: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let told = wasmgate(folder.path(), &["new", name, "--template", template]);
    for words in [
        "made",
        "wasmgate.toml",
        "next",
        &format!("cd {name}"),
        "wasmgate up --watch",
    ] {
        assert!(told.contains(words), "no {words} in:\n{told}");
    }
    let project = folder.path().join(name);
    cargo(&project, &["test"]);
    cargo(&project, &BUILD);
    (folder, project)
}

/// `wasmgate up --watch`, which runs Cargo as [`cargo`] does.
fn watch(project: &Path) -> TestGateway {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let options = [
        "up",
        "--watch",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let mut command = command(project, &options);
    command
        .env("RUSTUP_TOOLCHAIN", toolchain(&repository))
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_TARGET_DIR");
    TestGateway::spawn(command)
}

fn serve(project: &Path) -> TestGateway {
    let options = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    TestGateway::spawn(command(project, &[&["up"], &options[..]].concat()))
}

#[tokio::test]
async fn a_new_package_builds_passes_its_tests_and_answers_and_so_does_one_that_is_added() {
    let (_folder, project) = made("my-greeter", "rust");
    wasmgate(&project, &["add", "second"]);
    cargo(&project.join("second"), &BUILD);
    let told = wasmgate(&project, &["check"]);
    assert!(told.contains("2 packages and 2 routes are right"), "{told}");
    let gateway = serve(&project);
    assert_eq!(gateway.get("/my-greeter/you").await.text(), "Hello, you!\n");
    assert_eq!(gateway.get("/second/Ada").await.text(), "Hello, Ada!\n");
    let component = project.join("target/wasm32-wasip2/release/my_greeter.wasm");
    let size = fs::metadata(component).unwrap().len();
    assert!(size < 250_000, "{size} bytes");
}

#[tokio::test]
async fn a_save_in_a_new_project_is_built_and_swapped_without_a_failed_request() {
    let (_folder, project) = made("looped", "rust");
    // What crates need is built; the package itself is the gateway's to build.
    fs::remove_file(project.join("target/wasm32-wasip2/release/looped.wasm")).unwrap();
    let gateway = watch(&project);
    assert_eq!(gateway.get("/looped/you").await.text(), "Hello, you!\n");
    let source = project.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    let answers = async |wanted: &str| {
        until(wanted, async || {
            let reply = gateway.get("/looped/you").await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            reply.text() == wanted
        })
        .await;
    };
    fs::write(&source, text.replace("Hello", "Good morning")).unwrap();
    answers("Good morning, you!\n").await;
    // What does not compile is told in the compiler's words, and what was there goes on.
    fs::write(&source, text.replace("let name", "let mut name: u8")).unwrap();
    until("the compiler's words", async || {
        gateway.log().contains("mismatched types")
    })
    .await;
    let told = [(
        "message",
        "the package was not built; what was served is served still",
    )];
    gateway.wait_for_event(&told).await;
    answers("Good morning, you!\n").await;
    fs::write(&source, text.replace("Hello", "Good night")).unwrap();
    answers("Good night, you!\n").await;
}

#[tokio::test]
async fn a_new_package_with_building_blocks_keeps_an_order_and_gets_its_event() {
    let (_folder, project) = made("orders", "rust-dapr");
    let gateway = serve(&project);
    let order = json!({"id": "7", "drink": "latte"}).to_string();
    let placed = gateway.post("/orders", order).await;
    assert_eq!(placed.status, 202, "{}", placed.text());
    until("the order to be ready", || async {
        let reply = gateway.get("/orders/7").await;
        let order: Value = serde_json::from_str(&reply.text()).unwrap();
        order["status"] == "Ready"
    })
    .await;
}

#[tokio::test]
async fn a_new_site_serves_the_files_of_its_folder() {
    let (_folder, project) = made("site", "static");
    let gateway = serve(&project);
    let page = gateway.get("/").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().contains("<h1>site</h1>"), "{}", page.text());
    let style = gateway.get("/style.css").await;
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    assert_eq!(gateway.get("/nothing").await.status, 404);
}

#[test]
fn an_empty_project_has_every_key_commented_out_and_is_a_configuration() {
    let folder = TempDir::new().unwrap();
    wasmgate(folder.path(), &["new", "nothing", "--template", "empty"]);
    let project = folder.path().join("nothing");
    wasmgate(&project, &["check"]);
    wasmgate(&project, &["add", "greeter"]);
    let text = fs::read_to_string(project.join("wasmgate.toml")).unwrap();
    assert!(text.ends_with("strip_prefix = \"/greeter\"          # src/lib.rs sees the rest\n"));
    assert!(project.join("greeter/.cargo/config.toml").is_file());
}

/// What tools of other languages make of them: `apps/language-test`.
#[test]
fn templates_of_other_languages_bring_all_that_their_tools_need_and_say_what_is_missing() {
    for (template, source, program) in [
        ("javascript", "src/app.js", "npm"),
        ("typescript", "src/app.ts", "npm"),
        ("python", "src/app.py", "python3"),
        ("go", "app.go", "go"),
        ("c", "src/app.c", "make"),
    ] {
        let folder = TempDir::new().unwrap();
        // A word of Rust is a name like any other there.
        let mut new = command(folder.path(), &["new", "fn", "--template", template]);
        let Output { status, stdout, .. } = new.env("PATH", folder.path()).output().unwrap();
        let told = String::from_utf8(stdout).unwrap();
        assert!(status.success(), "{told}");
        assert!(
            told.contains(&format!("{program} is not there: install ")),
            "{told}"
        );
        let project = folder.path().join("fn");
        wasmgate(&project, &["add", "second", "--template", template]);
        for package in [&project, &project.join("second")] {
            for file in [source, ".gitignore"] {
                assert!(package.join(file).is_file(), "no {file} of {template}");
            }
            assert!(!package.join("Cargo.toml").exists() && !package.join(".cargo").exists());
        }
        let readme = fs::read_to_string(project.join("README.md")).unwrap();
        assert!(
            readme.contains(source) && !readme.contains("{{"),
            "{readme}"
        );
        let toml = fs::read_to_string(project.join("wasmgate.toml")).unwrap();
        assert!(!toml.contains("{{"), "{toml}");
        assert_eq!(toml.contains("compile_memory"), template == "go");
        // Both are right but for what is not built yet.
        let told = run(&project, &["check", "--json"]);
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        let mistakes = told["mistakes"].as_array().unwrap();
        let codes: Vec<_> = mistakes.iter().map(|mistake| &mistake["code"]).collect();
        assert_eq!(codes, ["file-missing", "file-missing"], "{told}");
        let keys: Vec<_> = mistakes
            .iter()
            .map(|mistake| mistake["message"].to_string())
            .collect();
        assert!(
            keys[0].contains("build/app.wasm") && keys[1].contains("second/build/app.wasm"),
            "{keys:?}"
        );
    }
}

#[tokio::test]
async fn a_build_whose_tools_are_not_there_says_which() {
    let folder = TempDir::new().unwrap();
    wasmgate(
        folder.path(),
        &["new", "greeter", "--template", "javascript"],
    );
    let project = folder.path().join("greeter");
    let bare = folder.path().join("bin");
    fs::create_dir(&bare).unwrap();
    std::os::unix::fs::symlink("/bin/sh", bare.join("sh")).unwrap();
    let Output { status, stderr, .. } = command(&project, &["up"])
        .env("PATH", &bare)
        .output()
        .unwrap();
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(70), "{told}");
    assert!(
        told.contains("npm: not found") && told.contains("install the program"),
        "{told}"
    );
}

#[test]
fn names_that_can_be_no_package_are_refused_and_nothing_is_made() {
    let folder = TempDir::new().unwrap();
    for (name, words) in [
        ("Greeter", "write, for example, \"greeter\""),
        ("a/b", "has characters other than"),
        ("..", "has characters other than"),
        ("", "is empty"),
        ("fn", "is a word of Rust"),
        ("9lives", "begins with a digit"),
        (&"a".repeat(64), "is longer than 63 bytes"),
    ] {
        refused(folder.path(), &["new", name], USAGE, words);
    }
    refused(
        folder.path(),
        &["new", "x", "--template", "php"],
        USAGE,
        "rust-dapr",
    );
    refused(
        folder.path(),
        &["new", "x", "--sdk", "/nowhere"],
        USAGE,
        "name the folder `sdk`",
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let folder = TempDir::new().unwrap();
    wasmgate(folder.path(), &["new", "greeter"]);
    refused(
        folder.path(),
        &["new", "greeter"],
        CANNOT_CREATE,
        "is there already",
    );
    refused(folder.path(), &["add", "other"], USAGE, "wasmgate new NAME");
    let project = folder.path().join("greeter");
    let before = fs::read(project.join("wasmgate.toml")).unwrap();
    refused(
        &project,
        &["add", "greeter"],
        USAGE,
        "has a package \"greeter\" already",
    );
    fs::write(project.join("taken"), "a file").unwrap();
    refused(
        &project,
        &["add", "taken"],
        CANNOT_CREATE,
        "is there already",
    );
    refused(
        &project,
        &["add", "x", "--template", "empty"],
        USAGE,
        "has no package",
    );
    assert_eq!(fs::read(project.join("wasmgate.toml")).unwrap(), before);
    // Two sites would answer the same requests.
    wasmgate(&project, &["add", "one", "--template", "static"]);
    refused(
        &project,
        &["add", "two", "--template", "static"],
        USAGE,
        "answers the same GET requests",
    );
    assert!(!project.join("two").exists());
}

#[test]
fn the_tools_of_a_shell_and_of_an_editor_are_printed() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        assert!(wasmgate(folder.path(), &["completions", shell]).contains("env-file"));
    }
    let page = wasmgate(folder.path(), &["man"]);
    assert!(
        page.starts_with(".ie") && page.contains("WASMGATE PARKED RELEASE"),
        "{page}"
    );
    let schema: Value = serde_json::from_str(&wasmgate(folder.path(), &["schema"])).unwrap();
    assert_eq!(
        schema["properties"]["server"]["properties"]["workers"]["maximum"],
        1024
    );
}

#[test]
fn variables_and_a_second_file_are_taken_from_the_command_line() {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("wasmgate.toml"),
        "[server]\nlisten = \"127.0.0.1:${PORT_T}\"\n",
    )
    .unwrap();
    fs::write(
        folder.path().join("more.toml"),
        "[server]\nadmin = \"127.0.0.1:${ADMIN_T:-0}\"\n",
    )
    .unwrap();
    fs::write(folder.path().join("a.env"), "PORT_T=0\n").unwrap();
    refused(
        folder.path(),
        &["check"],
        USAGE,
        "wasmgate.toml:2:10: server.listen: the variable PORT_T is not set",
    );
    wasmgate(
        folder.path(),
        &["check", "--env", "PORT_T=0", "--with", "more.toml"],
    );
    wasmgate(folder.path(), &["check", "--env-file", "a.env"]);
    let bad = [
        "check",
        "--env",
        "PORT_T=0",
        "--env",
        "ADMIN_T=x",
        "--with",
        "more.toml",
    ];
    refused(folder.path(), &bad, USAGE, "more.toml:2:9: server.admin");
}

#[test]
fn tools_read_the_code_and_the_place_of_each_mistake() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("wasmgate.toml");
    fs::write(
        &file,
        "[server]\nlisen = \"x\"\n[package.x]\nsource = \"x.wasm\"\n",
    )
    .unwrap();
    let output = run(folder.path(), &["check", "--json"]);
    assert_eq!(output.status.code(), Some(USAGE));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mistake = &told["mistakes"][0];
    assert_eq!(
        (&mistake["code"], &mistake["line"], &mistake["column"]),
        (&json!("unknown-key"), &json!(2), &json!(1))
    );
    assert_eq!(told["mistakes"][1]["code"], "file-missing");
    // A component that is none is found by another part, and told alike.
    fs::write(&file, "[package.x]\nsource = \"x.wasm\"\n").unwrap();
    fs::write(folder.path().join("x.wasm"), "text").unwrap();
    let output = run(folder.path(), &["check", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["mistakes"][0]["code"], "not-a-component");
    fs::write(&file, "").unwrap();
    let told: Value = serde_json::from_str(&wasmgate(folder.path(), &["check", "--json"])).unwrap();
    let notes = told["notes"].as_array().map(Vec::len);
    assert_eq!(notes, Some(1), "that there is no route: {told}");
    assert_eq!(
        told,
        json!({"mistakes": [], "packages": [], "routes": 0, "notes": told["notes"]})
    );
}

#[tokio::test]
async fn a_project_is_deployed_as_the_guide_shows_with_a_second_file_for_production() {
    let (_folder, project) = made("deployed", "rust");
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../apps/guide/deploying.md");
    let guide = fs::read_to_string(guide).unwrap();
    let (_, production) = guide.split_once("```toml\n").unwrap();
    let (production, _) = production.split_once("```").unwrap();
    fs::write(project.join("production.toml"), production).unwrap();
    let here = |name: &str| format!("{name}={}", project.join(name).display());
    let (cache, data) = (here("CACHE"), here("DATA"));
    let with = ["--with", "production.toml", "--env", &cache, "--env", &data];
    wasmgate(&project, &[&["compile"], &with[..]].concat());
    assert!(project.join("CACHE").is_dir());
    let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let gateway = TestGateway::spawn(command(&project, &[&["up"], &with[..], &ports].concat()));
    assert_eq!(gateway.get("/deployed/you").await.text(), "Hello, you!\n");
}
