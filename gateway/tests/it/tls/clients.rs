//! Clients of others speak to it in all versions, and what is not TLS gets a clear answer.

use std::process::{Command, Stdio};

use wasmgate_real_dapr::left_out;

use super::{authority, get, secured};
use crate::harness::{Authority, TestGateway, output_of, within};

/// An upload far above all buffers on the way.
const UPLOAD: usize = 48 << 20;

fn gateway(authority: &Authority) -> TestGateway {
    secured(authority)
        .limits("request_body = \"1MiB\"")
        .guest("reports_its_request")
        .guest("reads_the_whole_body")
        .guest_with("echo", "limits = { request_body = \"1GiB\" }")
        .guest("sends_bytes")
        .start()
}

/// A program's standard output and standard error.
async fn told(mut command: Command) -> Option<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let program = command.get_program().to_string_lossy().into_owned();
    if Command::new(&program).arg("--version").output().is_err() {
        left_out(format_args!("{program} cannot be run"));
        return None;
    }
    let output = tokio::task::spawn_blocking(move || output_of(command));
    let output = within(&program, output).await.unwrap();
    Some(format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn curl(authority: &Authority, gateway: &TestGateway, target: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--include", "--cacert"])
        .arg(authority.file("ca.pem"))
        .args(arguments)
        .arg(format!(
            "https://localhost:{}{target}",
            gateway.address.port()
        ));
    command
}

#[tokio::test]
async fn curl_speaks_both_versions_of_http_over_both_of_tls_and_the_guest_is_told_https() {
    let authority = authority();
    let gateway = gateway(&authority);
    assert!(gateway.printed().contains("listening on https://"));
    for (arguments, version) in [
        (&["--http1.1"][..], "HTTP/1.1 200"),
        (&["--http2"][..], "HTTP/2 200"),
        (&["--tlsv1.2", "--tls-max", "1.2"][..], "HTTP/2 200"),
        (&["--tlsv1.3", "--http1.1"][..], "HTTP/1.1 200"),
        (&["--no-alpn"][..], "HTTP/1.1 200"),
    ] {
        let command = curl(&authority, &gateway, "/reports-its-request", arguments);
        let Some(answer) = told(command).await else {
            return;
        };
        assert!(answer.starts_with(version), "{arguments:?}: {answer}");
        for line in ["scheme: https", "header x-forwarded-proto: https"] {
            assert!(answer.contains(line), "{arguments:?}: {answer}");
        }
    }
    let command = curl(
        &authority,
        &gateway,
        "/reports-its-request",
        &["--tls-max", "1.1"],
    );
    let answer = told(command).await.unwrap();
    assert!(!answer.contains("200"), "{answer}");
    gateway
        .wait_for_metric("wasmgate_tls_handshakes_total", &[("result", "done")], 5)
        .await;
}

#[tokio::test]
async fn curl_gets_an_early_answer_to_an_upload_and_large_bodies_both_ways() {
    let authority = authority();
    let gateway = gateway(&authority);
    let upload = authority.file("upload");
    std::fs::write(&upload, vec![b'x'; UPLOAD]).unwrap();
    let data = format!("@{}", upload.display());
    for version in ["--http1.1", "--http2"] {
        for headers in ["Expect:", "Transfer-Encoding: chunked"] {
            let arguments = [version, "--data-binary", &data, "--header", headers];
            let command = curl(&authority, &gateway, "/reads-the-whole-body", &arguments);
            let Some(answer) = told(command).await else {
                return;
            };
            assert!(answer.contains("body-too-large"), "{arguments:?}: {answer}");
        }
        let size = "%{size_upload} %{size_download}";
        let arguments = [
            version,
            "--data-binary",
            &data,
            "--output",
            "/dev/null",
            "--write-out",
            size,
        ];
        let command = curl(&authority, &gateway, "/echo", &arguments);
        let answer = told(command).await.unwrap();
        assert!(
            answer.starts_with(&format!("{UPLOAD} {UPLOAD}")),
            "{arguments:?}: {answer}"
        );
    }
}

#[tokio::test]
async fn openssl_agrees_on_what_it_offers_and_is_told_when_there_is_nothing_in_common() {
    let authority = authority();
    let gateway = gateway(&authority);
    for (arguments, words) in [
        (&["-alpn", "h2,http/1.1"][..], "ALPN protocol: h2"),
        (&["-alpn", "http/1.1"][..], "ALPN protocol: http/1.1"),
        (&["-tls1_2"][..], "Verify return code: 0 (ok)"),
        (&["-tls1_3"][..], "Verify return code: 0 (ok)"),
        (&["-alpn", "spdy/3"][..], "no application protocol"),
        (&["-tls1_1"][..], "alert"),
    ] {
        let mut command = Command::new("openssl");
        command
            .args([
                "s_client",
                "-connect",
                &gateway.address.to_string(),
                "-CAfile",
            ])
            .arg(authority.file("ca.pem"))
            .args(arguments);
        let Some(answer) = told(command).await else {
            return;
        };
        assert!(answer.contains(words), "{arguments:?}: {answer}");
    }
}

/// Asks by both of Node's own clients: a line each.
const NODE: &str = r#"
const https = require("https"), http2 = require("http2"), fs = require("fs");
const [port, file] = process.argv.slice(1), ca = fs.readFileSync(file), origin = `https://localhost:${port}`;
const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
const one = target => new Promise((resolve, reject) => {
  https.get(origin + target, { ca, agent }, response => {
    let body = ""; response.on("data", data => body += data);
    response.on("end", () => resolve(`1 ${response.statusCode} ${body.length}`));
  }).on("error", reject);
});
const two = target => new Promise((resolve, reject) => {
  const session = http2.connect(origin, { ca });
  session.on("error", reject);
  const request = session.request({ ":path": target });
  let status, body = "";
  request.on("response", headers => status = headers[":status"]);
  request.on("data", data => body += data);
  request.on("end", () => { session.close(); resolve(`2 ${status} ${body.length}`); });
  request.end();
});
(async () => {
  for (const ask of [one, two, one])
    console.log(await ask("/sends-bytes?n=3000000&chunk=100000"));
  process.exit(0);
})().catch(error => { console.log(error); process.exit(1); });
"#;

#[tokio::test]
async fn nodes_clients_are_served() {
    let authority = authority();
    let gateway = gateway(&authority);
    let mut command = Command::new("node");
    command
        .args(["-e", NODE, &gateway.address.port().to_string()])
        .arg(authority.file("ca.pem"));
    if let Some(answer) = told(command).await {
        assert_eq!(answer.trim(), "1 200 3000000\n2 200 3000000\n1 200 3000000");
    }
}

#[tokio::test]
async fn an_http2_library_is_served_and_so_is_one_of_http1() {
    let authority = authority();
    let gateway = gateway(&authority);
    for protocol in [b"h2".as_slice(), b"http/1.1"] {
        let reply = get(
            &gateway,
            &authority,
            protocol,
            "/sends-bytes?n=5000000&chunk=300000",
        )
        .await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 5_000_000));
        let reply = get(&gateway, &authority, protocol, "/nowhere").await;
        reply.assert_error(404, "no-route");
    }
}

#[tokio::test]
async fn http_without_tls_is_told_so_in_plain_text() {
    let authority = authority();
    let gateway = gateway(&authority);
    for request in [
        "GET /echo HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\r\nGET / HTTP/1.0\r\n\r\n",
    ] {
        let mut connection = gateway.raw().await;
        connection.send(request).await;
        let response = connection.response().await;
        assert_eq!(
            (response.status(), response.header("x-wasmgate-error")),
            (400, Some("tls-required")),
            "{request}"
        );
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(
            response.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(response.body.contains("https://"), "{}", response.body);
        assert_eq!(connection.rest().await, "");
    }
    let plain = [("result", "plain-http")];
    gateway
        .wait_for_metric("wasmgate_tls_handshakes_total", &plain, 4)
        .await;
    let refused = [("reason", "tls-required")];
    gateway
        .wait_for_metric("wasmgate_refusals_total", &refused, 4)
        .await;
}
