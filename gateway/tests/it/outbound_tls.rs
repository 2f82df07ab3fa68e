//! TLS of outgoing requests against OpenSSL's own server: whom a guest's requests trust, and as whom they come.
use wasmgate_real_dapr::left_out;

use crate::harness::{Authority, OpenSsl, Scripted, TestGateway, run};

/// Beyond the years in which these tests will run.
const VALID: i32 = 2099;

/// A gateway whose caller may reach a port of this machine by TLS, with more lines for its package.
fn gateway(port: u16, lines: &str) -> crate::harness::Builder {
    let outbound = format!("outbound = [\"https://localhost:{port}\", \"https://127.0.0.1:{port}\"]");
    TestGateway::builder().guest_with("calls_out", &format!("{outbound}\n{lines}"))
}

async fn call(gateway: &TestGateway, host: &str, port: u16) -> String {
    let target = format!("/calls-out?to=https://{host}:{port}/");
    gateway.get(&target).await.text()
}

/// The table that trusts an authority, and shows a certificate of it if one is named.
fn tls(authority: &Authority, identity: Option<&str>) -> String {
    let path = |name: &str| authority.file(name).display().to_string();
    let mut lines = format!("[package.calls-out.tls]\nca = '{}'\n", path("ca.pem"));
    if let Some(name) = identity {
        let (certificate, key) = (path(&format!("{name}.pem")), path(&format!("{name}.key")));
        lines += &format!("certificate = '{certificate}'\nkey = '{key}'\n");
    }
    lines
}

#[track_caller]
fn assert_page(told: &str) {
    assert!(told.contains("s_server"), "no page of OpenSSL's: {told}");
}

#[tokio::test]
async fn an_authority_of_the_packages_own_is_trusted_by_name_and_address() {
    let authority = Authority::new();
    authority.sign("server", &["localhost", "127.0.0.1"], VALID);
    let server = OpenSsl::start(&authority, "server", &[]);
    let gateway = gateway(server.port, &tls(&authority, None)).start();
    for host in ["localhost", "127.0.0.1"] {
        assert_page(&call(&gateway, host, server.port).await);
    }
}

#[tokio::test]
async fn the_environment_names_the_authorities_that_are_trusted() {
    let authority = Authority::new();
    authority.sign("server", &["localhost"], VALID);
    let server = OpenSsl::start(&authority, "server", &[]);
    let file = authority.file("ca.pem");
    let gateway = gateway(server.port, "")
        .environment("SSL_CERT_FILE", file.to_str().unwrap())
        .start();
    assert_page(&call(&gateway, "localhost", server.port).await);
}

#[tokio::test]
async fn each_wrong_certificate_is_an_error_of_certificates() {
    let authority = Authority::new();
    authority.sign("good", &["localhost"], VALID);
    authority.sign("expired", &["localhost"], 2001);
    authority.sign("other", &["other.example"], VALID);
    for (name, trusts) in [("good", false), ("expired", true), ("other", true)] {
        let server = OpenSsl::start(&authority, name, &[]);
        let lines = if trusts {
            tls(&authority, None)
        } else {
            String::new()
        };
        let gateway = gateway(server.port, &lines).start();
        let told = call(&gateway, "localhost", server.port).await;
        let word = "ErrorCode::TlsCertificateError";
        assert!(told.contains(word), "{name}: {told}");
        let origin = format!("https://localhost:{}", server.port);
        gateway
            .wait_for_event(&[("origin", &origin), ("error", "TLS-certificate-error")])
            .await;
    }
}

#[tokio::test]
async fn the_log_says_what_to_do_about_a_certificate_that_is_refused() {
    let authority = Authority::new();
    authority.sign("good", &["localhost"], VALID);
    for (name, lines, remedy) in [
        ("good", String::new(), "name the one that has in `tls.ca`"),
        ("ca", tls(&authority, None), "CA:FALSE"),
    ] {
        let server = OpenSsl::start(&authority, name, &[]);
        let gateway = gateway(server.port, &lines).start();
        call(&gateway, "localhost", server.port).await;
        let event = gateway
            .wait_for_event(&[("error", "TLS-certificate-error")])
            .await;
        let detail = event.field("detail").unwrap();
        assert!(detail.contains(remedy), "{name}: {detail}");
        assert!(!detail.contains("Other("), "{name}: {detail}");
    }
}

#[tokio::test]
async fn a_server_that_asks_who_calls_gets_the_packages_certificate() {
    let authority = Authority::new();
    authority.sign("server", &["localhost"], VALID);
    authority.sign("client", &["client.example"], VALID);
    for version in ["-tls1_2", "-tls1_3"] {
        let ask = ["-Verify", "1", "-verify_return_error", version];
        let server = OpenSsl::start(&authority, "server", &ask);
        let known = gateway(server.port, &tls(&authority, Some("client"))).start();
        assert_page(&call(&known, "localhost", server.port).await);
        let unknown = gateway(server.port, &tls(&authority, None)).start();
        let told = call(&unknown, "localhost", server.port).await;
        let word = "ErrorCode::TlsAlertReceived";
        assert!(told.contains(word), "{version}: {told}");
    }
}

#[tokio::test]
async fn packages_with_and_without_a_certificate_share_no_connection() {
    let authority = Authority::new();
    authority.sign("server", &["localhost"], VALID);
    authority.sign("client", &["client.example"], VALID);
    let server = OpenSsl::start(
        &authority,
        "server",
        &["-Verify", "1", "-verify_return_error"],
    );
    let outbound = format!("outbound = [\"https://localhost:{}\"]", server.port);
    let known = format!("{outbound}\n{}", tls(&authority, Some("client")));
    let ca = authority.file("ca.pem");
    let gateway = TestGateway::builder()
        .server("workers = 1")
        .guest_with("calls_out", &known)
        .guest_as("other", "calls_out", &outbound)
        .environment("SSL_CERT_FILE", ca.to_str().unwrap())
        .start();
    let target = format!("?to=https://localhost:{}/", server.port);
    assert_page(&gateway.get(&format!("/calls-out{target}")).await.text());
    let told = gateway.get(&format!("/other{target}")).await.text();
    assert!(told.contains("ErrorCode::TlsAlertReceived"), "{told}");
}

#[tokio::test]
async fn a_server_without_tls_is_an_error_of_the_protocol() {
    let upstream = Scripted::start(|mut peer, _| async move {
        peer.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .await;
        peer.gone().await;
    });
    let upstream = upstream.await;
    let port = upstream.address.port();
    let gateway = gateway(port, "").start();
    let told = call(&gateway, "localhost", port).await;
    assert!(told.contains("ErrorCode::TlsProtocolError"), "{told}");
}

#[tokio::test]
async fn a_handshake_that_is_never_answered_ends_with_the_time_to_connect() {
    let upstream = Scripted::start(|mut peer, _| async move { peer.gone().await }).await;
    let port = upstream.address.port();
    let gateway = gateway(port, "").start();
    let target = format!("/calls-out?to=https://localhost:{port}/&connect=300");
    let told = gateway.get(&target).await.text();
    assert!(told.contains("ErrorCode::ConnectionTimeout"), "{told}");
}

/// Returns what `wasmgate check` says of a table `tls`.
fn mistakes(authority: &Authority, table: &str) -> String {
    let toml = gateway(443, &format!("tls = {{ {table} }}")).toml();
    let folder = authority.file("");
    std::fs::write(folder.join("wasmgate.toml"), toml).unwrap();
    let output = run(&folder, &["check"]);
    assert_eq!(output.status.code(), Some(64), "{table}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn wrong_files_are_mistakes_of_the_configuration_at_their_place() {
    let authority = Authority::new();
    authority.sign("one", &["one.example"], VALID);
    authority.sign("two", &["two.example"], VALID);
    std::fs::write(authority.file("not.pem"), "hello").unwrap();
    for (table, key, words) in [
        ("ca = 'missing.pem'", "tls.ca", "missing.pem cannot be read"),
        ("ca = 'not.pem'", "tls.ca", "holds no certificate"),
        ("ca = 'one.key'", "tls.ca", "holds no certificate"),
        (
            "certificate = 'one.pem'",
            "tls.certificate",
            "of no use without `key`",
        ),
        (
            "key = 'one.key'",
            "tls.key",
            "of no use without `certificate`",
        ),
        (
            "certificate = 'one.pem', key = 'two.key'",
            "tls.key",
            "not the key of the certificate",
        ),
        (
            "certificate = 'one.pem', key = 'one.pem'",
            "tls.key",
            "holds no private key",
        ),
        ("authority = 'ca.pem'", "tls.authority", "there is no key"),
    ] {
        let told = mistakes(&authority, table);
        assert!(
            told.contains(key) && told.contains(words),
            "{table}: {told}"
        );
        assert!(
            told.contains("wasmgate.toml:"),
            "no place for {table}: {told}"
        );
    }
}

/// Node's own HTTP/2 server, which answers with the number of connections so far, and closes each of them after a
/// request to `/last`.
struct NodeHttp2 {
    child: std::process::Child,
    port: u16,
}

const NODE_HTTP2: &str = r#"
const http2 = require('http2'), fs = require('fs');
const [cert, key] = process.argv.slice(1).map(name => fs.readFileSync(name));
let sessions = 0;
const server = http2.createSecureServer({ cert, key });
server.on('session', session => { sessions += 1; session.on('error', () => {}); });
server.on('stream', (stream, headers) => {
  const length = headers['content-length'] ?? 'none';
  let body = '';
  stream.on('data', data => body += data);
  stream.on('end', () => {
    stream.respond({ ':status': 200 });
    stream.end(`${headers[':method']} ${headers[':authority']} ${length} ${body} on ${sessions}`);
    if (headers[':path'] === '/last') stream.session.close();
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
"#;

impl NodeHttp2 {
    fn start(authority: &Authority, name: &str) -> Option<Self> {
        let mut child = std::process::Command::new("node")
            .args(["-e", NODE_HTTP2])
            .args(["pem", "key"].map(|ending| authority.file(&format!("{name}.{ending}"))))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .inspect_err(|_| left_out("there is no node (Debian's nodejs)"))
            .ok()?;
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        let port = line.trim().parse().unwrap();
        Some(Self { child, port })
    }
}

impl Drop for NodeHttp2 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn http2_requests_share_a_connection_until_it_closes() {
    let authority = Authority::new();
    authority.sign("server", &["localhost"], VALID);
    let Some(server) = NodeHttp2::start(&authority, "server") else {
        return;
    };
    let port = server.port;
    let lines = format!("{}\n", tls(&authority, None));
    let gateway = gateway(port, &lines).server("workers = 1").start();
    let call = async |method: &str, path: &str, body: &'static str| {
        let target = format!("/calls-out?to=https://localhost:{port}{path}");
        let request = gateway.request(method, &target);
        gateway
            .send(request.body(crate::harness::full(body)).unwrap())
            .await
            .text()
    };
    let first = call("GET", "/", "").await;
    assert_eq!(first, format!("GET localhost:{port} none  on 1"));
    let many = (0..20).map(|_| call("POST", "/", "hello"));
    for told in futures_util::future::join_all(many).await {
        // Whether its length is told depends on whether the guest has written all of it in time.
        let (start, end) = (format!("POST localhost:{port} "), " hello on 1");
        assert!(told.starts_with(&start) && told.ends_with(end), "{told}");
    }
    for connection in 1..=2 {
        let last = call("GET", "/last", "").await;
        assert!(last.ends_with(&format!("on {connection}")), "{last}");
        let next = call("POST", "/", "").await;
        assert!(
            next.ends_with(&format!("  on {}", connection + 1)),
            "{next}"
        );
    }
}
