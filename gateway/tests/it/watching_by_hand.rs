//! `up --watch` where the system tells nothing of changes, or not of all: files are looked at then.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;
use wasmgate_real_dapr::left_out;

use crate::harness::{Builder, TestGateway, command, guest, until};

/// What builds a component from the path in `sources/path`, counts, and keeps that apart from the configuration.
const BUILD: &str = "echo run >> runs; cp $(cat sources/path) made/built.wasm";

/// A package that is built and one that is not, with files in several folders.
fn project() -> (TempDir, Builder) {
    let folder = TempDir::new().unwrap();
    for inner in ["sources", "made", "components"] {
        fs::create_dir(folder.path().join(inner)).unwrap();
    }
    save(folder.path(), "hello");
    fs::copy(guest("hello"), folder.path().join("made/plain.wasm")).unwrap();
    let build = format!("build = {{ command = '{BUILD}', watch = [\"sources/**\"] }}");
    let builder = TestGateway::builder()
        .package("built", Path::new("made/built.wasm"), &build)
        .package("plain", Path::new("made/plain.wasm"), "")
        .route("/built", "built")
        .route("/plain", "plain");
    builder.write_to(folder.path());
    (folder, builder)
}

fn save(folder: &Path, example: &str) {
    // Whole at once: what looks at it finds one or the other.
    let next = folder.join("made/path");
    fs::write(&next, guest(example).display().to_string()).unwrap();
    fs::rename(next, folder.join("sources/path")).unwrap();
}

/// `up --watch` as a user of whom the system keeps as many things of a kind, if such a user can be made.
fn up_with(folder: &Path, limit: &str, most: u32) -> Option<Command> {
    let script = format!("echo {most} > /proc/sys/user/{limit} && exec \"$@\"");
    let of_others = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "sh", "-c", &script, "sh"])
            .args(arguments);
        command
    };
    let tried = of_others(&["true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !tried.is_ok_and(|ended| ended.success()) {
        left_out("no user namespace is to be had, in which fewer files may be watched");
        return None;
    }
    let own = command(folder, &["up", "--watch"]);
    let mut command = of_others(&[own.get_program().to_str().unwrap()]);
    command.args(own.get_args()).current_dir(folder);
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Some(command)
}

async fn is_hello(gateway: &TestGateway, path: &str) -> bool {
    gateway.get(path).await.text().contains("Hello")
}

/// Saves a source, a component and a configuration, and waits until each is served.
async fn every_change_is_served(gateway: &TestGateway, folder: &Path, builder: Builder) {
    assert!(is_hello(gateway, "/built").await && is_hello(gateway, "/plain").await);
    save(folder, "reports_its_environment");
    until("what was built", async || {
        !is_hello(gateway, "/built").await
    })
    .await;
    assert!(is_hello(gateway, "/plain").await);
    // Half of it first, as some tools write.
    let next = fs::read(guest("reports_its_environment")).unwrap();
    fs::write(folder.join("made/plain.wasm"), &next[..next.len() / 2]).unwrap();
    fs::write(folder.join("made/plain.wasm"), &next).unwrap();
    until("the other component", async || {
        !is_hello(gateway, "/plain").await
    })
    .await;
    builder.route("/more", "plain").write_to(folder);
    until("the route", async || {
        gateway.get("/more").await.status == 200
    })
    .await;
    let runs = fs::read_to_string(folder.join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 2);
}

fn warnings(gateway: &TestGateway) -> Vec<String> {
    let events = gateway.events();
    let warned = events
        .iter()
        .filter(|event| event.has(&[("level", "WARN")]));
    warned
        .map(|event| event.field("message").unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn a_gateway_for_which_the_system_watches_nothing_warns_once_and_looks() {
    let (folder, builder) = project();
    let Some(up) = up_with(folder.path(), "max_inotify_instances", 0) else {
        return;
    };
    let gateway = TestGateway::spawn(up);
    every_change_is_served(&gateway, folder.path(), builder).await;
    let warnings = warnings(&gateway);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("the system watches no files, which are looked at once a second instead")
            && warnings[0].contains("fs.inotify.max_user_instances"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn folders_beyond_the_limit_of_the_system_are_looked_at_and_named_once() {
    // None, one, and all but one of what is watched here at the least.
    for most in [0, 1, 2] {
        let (folder, builder) = project();
        let Some(up) = up_with(folder.path(), "max_inotify_watches", most) else {
            return;
        };
        let gateway = TestGateway::spawn(up);
        every_change_is_served(&gateway, folder.path(), builder).await;
        let warnings = warnings(&gateway);
        assert_eq!(warnings.len(), 1, "{most}: {warnings:?}");
        assert!(
            warnings[0].starts_with("the system does not watch all folders")
                && warnings[0].contains("fs.inotify.max_user_watches"),
            "{most}: {warnings:?}"
        );
    }
}

#[tokio::test]
async fn who_asks_for_it_has_files_looked_at_and_nothing_watched() {
    let (folder, builder) = project();
    let gateway = TestGateway::spawn(command(folder.path(), &["up", "--watch=poll"]));
    let descriptors = fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap();
    let watches = descriptors.flatten().filter(|descriptor| {
        let open = fs::read_link(descriptor.path()).unwrap_or_default();
        open.to_string_lossy().contains("inotify")
    });
    assert_eq!(watches.count(), 0);
    every_change_is_served(&gateway, folder.path(), builder).await;
    assert_eq!(warnings(&gateway), Vec::<String>::new());
}
