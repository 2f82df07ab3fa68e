//! The program as a person uses it.

use std::process::{Command, Output};

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
