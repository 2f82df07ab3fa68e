//! The program as a person uses it.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::harness::{PROGRAM, native};

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

#[test]
fn a_run_prints_its_result_as_json() {
    let server = native();
    let url = format!("http://{}/hello", server.target.authority);
    let output = run(&[
        "run",
        "hello",
        "--rate",
        "500",
        "--duration",
        "200ms",
        "--warmup",
        "0s",
        "--json",
        &url,
    ]);
    assert!(output.status.success(), "{output:?}");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["result"]["answered"], 100);
    assert_eq!(result["result"]["errors"]["body"], 0);
}

#[test]
fn a_target_that_is_not_this_machine_is_refused_before_anything_is_sent() {
    let output = run(&["run", "hello", "http://192.0.2.1/"]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("loopback"), "{said}");
}

#[test]
fn a_server_that_answers_otherwise_is_not_loaded() {
    let server = native();
    let url = format!("http://{}/nowhere", server.target.authority);
    let output = run(&["run", "hello", &url]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("404"), "{said}");
}

#[test]
fn peers_are_compared_without_a_gateway_and_reported_on_one_page() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let output = run(&[
        "compare",
        "--without-gateway",
        "--wasmtime",
        "/nowhere/wasmtime",
        "--rounds",
        "2",
        "--duration",
        "100ms",
        "--warmup",
        "0s",
        "--connections",
        "4",
        "--html",
        page.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("A/A control") && table.contains("left out: wasmtime"),
        "{table}"
    );
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg"));
    for fetched in ["src=", "href=", "url(", "@import"] {
        assert!(
            !page.contains(fetched),
            "the page fetches something: {fetched}"
        );
    }
}

#[test]
fn a_started_server_ends_even_when_the_tool_is_killed() {
    let mut tool = Command::new(PROGRAM)
        .args([
            "compare",
            "--without-gateway",
            "--wasmtime",
            "/nowhere/wasmtime",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", tool.id());
    let server = eventually(|| {
        let pid = std::fs::read_to_string(&children).ok()?;
        let server = PathBuf::from(format!("/proc/{}", pid.trim()));
        // Killed before it is leashed, it would have nobody to tell it.
        let command = std::fs::read_to_string(server.join("cmdline")).ok()?;
        (command.contains("native") && !command.contains("leash")).then_some(server)
    });
    tool.kill().unwrap();
    tool.wait().unwrap();
    eventually(|| {
        let stat = std::fs::read_to_string(server.join("stat")).unwrap_or_default();
        // Gone, or a zombie that nobody has waited for yet.
        (stat.is_empty() || stat.contains(") Z")).then_some(())
    });
}

/// Looks until there is something, at most ten seconds.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "it never came");
        thread::sleep(Duration::from_millis(5));
    }
}
