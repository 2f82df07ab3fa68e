//! The judgement of others on our HTTP/2: every case of `h2spec` (a Go program, `go install
//! github.com/summerwind/h2spec/cmd/h2spec`) but one.

use std::process::Command;
use wasmgate_real_dapr::left_out;

use crate::harness::{Authority, Builder, TestGateway, within};

/// A connection that begins with no preface of HTTP/2 is HTTP/1.1 on a port that speaks both, and gets its answer in
/// that before it is closed; the program expects the end alone.
const NOT_HTTP2: &str = "Sends invalid connection preface";

#[tokio::test]
async fn h2spec_finds_nothing_but_that_the_port_speaks_http1_as_well() {
    let Some(failed) = failed_cases(TestGateway::builder(), &[]).await else {
        return;
    };
    assert!(
        failed.iter().all(|case| case.contains(NOT_HTTP2)),
        "{failed:#?}"
    );
}

#[tokio::test]
async fn h2spec_finds_nothing_over_tls() {
    let authority = Authority::new();
    authority.sign("server", &["localhost"], 2099);
    let path = |name| authority.file(name).display().to_string();
    let (certificate, key) = (path("server.pem"), path("server.key"));
    let lines = format!("tls = {{ certificate = '{certificate}', key = '{key}' }}");
    let builder = TestGateway::builder().server(&lines);
    if let Some(failed) = failed_cases(builder, &["-t", "-k"]).await {
        assert_eq!(failed, [] as [&str; 0]);
    }
}

/// The cases that it finds fault with, unless it cannot be run.
async fn failed_cases(builder: Builder, arguments: &'static [&'static str]) -> Option<Vec<String>> {
    let gateway = builder
        .guest("reads_the_whole_body")
        .route("/", "reads-the-whole-body")
        .start();
    let port = gateway.address.port().to_string();
    let told = tokio::task::spawn_blocking(move || {
        Command::new("h2spec")
            .args(["-h", "127.0.0.1", "-p", &port, "-o", "10"])
            .args(arguments)
            .output()
    });
    let told = match within("h2spec", told).await.unwrap() {
        Ok(told) => told,
        Err(error) => {
            left_out(format_args!("h2spec cannot be run ({error})"));
            return None;
        }
    };
    let report = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(report.contains("145 tests"), "{report}");
    let failures = report.split("Failures:").nth(1).unwrap_or_default();
    let failed = failures.lines().map(str::trim_start);
    let failed = failed.filter(|line| line.starts_with('×'));
    Some(failed.map(str::to_owned).collect())
}
