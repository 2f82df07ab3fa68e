//! The judgement of others on our HTTP/2: every case of `h2spec` (a Go program, `go install
//! github.com/summerwind/h2spec/cmd/h2spec`) but one.

use std::process::Command;
use wasmgate_real_dapr::left_out;

use crate::harness::{TestGateway, within};

/// A connection that begins with no preface of HTTP/2 is HTTP/1.1 on a port that speaks both, and gets its answer in
/// that before it is closed; the program expects the end alone.
const NOT_HTTP2: &str = "Sends invalid connection preface";

#[tokio::test]
async fn h2spec_finds_nothing_but_that_the_port_speaks_http1_as_well() {
    let gateway = TestGateway::builder()
        .guest_with("reads_the_whole_body", "")
        .route("/", "reads-the-whole-body")
        .start();
    let port = gateway.address.port().to_string();
    let told = tokio::task::spawn_blocking(move || {
        Command::new("h2spec")
            .args(["-h", "127.0.0.1", "-p", &port, "-o", "10"])
            .output()
    });
    let told = match within("h2spec", told).await.unwrap() {
        Ok(told) => told,
        Err(error) => return left_out(format_args!("h2spec cannot be run ({error})")),
    };
    let report = String::from_utf8_lossy(&told.stdout).into_owned();
    let failures = report.split("Failures:").nth(1).unwrap_or_default();
    let failed: Vec<&str> = failures
        .lines()
        .filter(|line| line.trim_start().starts_with('×'))
        .collect();
    assert!(report.contains("145 tests"), "{report}");
    assert!(
        failed.iter().all(|case| case.contains(NOT_HTTP2)),
        "{failures}"
    );
}
