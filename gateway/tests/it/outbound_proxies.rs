//! Outgoing requests through a proxy, as the environment says.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use wasmgate_real_dapr::{Place, left_out};

use crate::harness::{Authority, OpenSsl, Peer, Scripted, TestGateway, Upstream, command, until};

/// A proxy that opens every tunnel to one address, whatever name is asked for, if it is shown these credentials; heads
/// go to the channel.
async fn tunnels_to(
    port: u16,
    credentials: Option<&'static str>,
) -> (Scripted, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (seen, heads) = tokio::sync::mpsc::unbounded_channel();
    let proxy = Scripted::start(move |mut peer: Peer, _| {
        let seen = seen.clone();
        async move {
            let head = peer.head().await;
            let shown = credentials.is_none_or(|needed| head.contains(needed));
            let _ = seen.send(head);
            if !shown {
                return peer
                    .send("HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n")
                    .await;
            }
            let mut there = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            peer.send("HTTP/1.1 200 Connected\r\n\r\n").await;
            let _ = tokio::io::copy_bidirectional(&mut peer.0, &mut there).await;
            let _ = there.shutdown().await;
        }
    });
    (proxy.await, heads)
}

fn trusting(authority: &Authority, outbound: &str) -> crate::harness::Builder {
    let ca = authority.file("ca.pem");
    let lines = format!(
        "outbound = [\"{outbound}\"]\ntls = {{ ca = '{}' }}",
        ca.display()
    );
    TestGateway::builder().guest_with("calls_out", &lines)
}

#[tokio::test]
async fn tls_goes_through_a_tunnel_to_a_name_that_only_the_proxy_knows() {
    let authority = Authority::new();
    authority.sign("server", &["upstream.invalid"], 2099);
    let server = OpenSsl::start(&authority, "server", &[]);
    let (proxy, mut heads) = tunnels_to(server.port, Some("dXNlcjpwYXNzIHdvcmQ=")).await;
    let url = format!("http://user:pass%20word@{}", proxy.address);
    let gateway = trusting(&authority, "https://upstream.invalid")
        .environment("HTTPS_PROXY", &url)
        .start();
    let told = gateway.get("/calls-out?to=https://upstream.invalid/").await;
    assert!(told.text().contains("s_server"), "{}", told.text());
    let head = heads.recv().await.unwrap();
    let asked = "CONNECT upstream.invalid:443 HTTP/1.1\r\n";
    assert!(head.starts_with(asked), "{head}");
    assert!(!gateway.log().contains("pass word") && !gateway.log().contains("pass%20word"));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_from_the_other_side() {
    let (proxy, _heads) = tunnels_to(9, Some("no one has these")).await;
    let authority = Authority::new();
    let gateway = trusting(&authority, "https://upstream.invalid")
        .environment("https_proxy", &format!("http://{}", proxy.address))
        .start();
    let told = gateway.get("/calls-out?to=https://upstream.invalid/").await;
    let told = told.text();
    assert!(told.contains("ErrorCode::ConfigurationError"), "{told}");
    gateway
        .wait_for_event(&[(
            "detail",
            "the proxy answered 407 Proxy Authentication Required",
        )])
        .await;
}

#[tokio::test]
async fn a_literal_address_stays_closed_behind_a_proxy() {
    let (proxy, _heads) = tunnels_to(9, None).await;
    let gateway = TestGateway::builder()
        .guest_with("calls_out", "outbound = [\"http://169.254.169.254\"]")
        .environment("HTTP_PROXY", &format!("http://{}", proxy.address))
        .start();
    let told = gateway.get("/calls-out?to=http://169.254.169.254/").await;
    let told = told.text();
    assert!(told.contains("ErrorCode::HttpRequestDenied"), "{told}");
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn a_proxy_that_cannot_be_used_is_a_mistake_that_keeps_its_password() {
    for (url, words) in [
        ("socks5://user:hush@proxy.example:1080", "speak socks5"),
        ("http://user:hush@", "environment variable HTTPS_PROXY"),
        ("://hush", "environment variable HTTPS_PROXY"),
    ] {
        let folder = TempDir::new().unwrap();
        TestGateway::builder()
            .guest("hello")
            .write_to(folder.path());
        let mut check = command(folder.path(), &["check"]);
        let output = check.env("HTTPS_PROXY", url).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{url}: {told}");
        assert!(
            told.contains(words) && !told.contains("hush"),
            "{url}: {told}"
        );
    }
}

/// Debian's tinyproxy, its folder, and where it listens.
struct TinyProxy(Child, TempDir, Place);

impl TinyProxy {
    async fn start() -> Option<Self> {
        if Command::new("tinyproxy").arg("-v").output().is_err() {
            left_out("there is no tinyproxy (Debian's package of this name)");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let place = Place::new();
        let file = folder.path().join("tinyproxy.conf");
        let log = folder.path().join("log");
        let config = format!(
            "Port {}\nListen {}\nTimeout 60\nAllow 127.0.0.1\nLogFile \"{}\"\nLogLevel Connect\n",
            Self::PORT,
            place.address(),
            log.display()
        );
        std::fs::write(&file, config).unwrap();
        let child = Command::new("tinyproxy")
            .arg("-d")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let proxy = Self(child, folder, place);
        until("tinyproxy", || async {
            TcpStream::connect(proxy.address()).await.is_ok()
        })
        .await;
        Some(proxy)
    }

    const PORT: u16 = 8888;

    fn address(&self) -> SocketAddr {
        self.2.at(Self::PORT)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.1.path().join("log")).unwrap_or_default()
    }
}

impl Drop for TinyProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_real_proxy_carries_both_schemes_and_is_passed_by_where_the_environment_says_so() {
    let Some(proxy) = TinyProxy::start().await else {
        return;
    };
    let authority = Authority::new();
    authority.sign("server", &["127.0.0.1"], 2099);
    let server = OpenSsl::start(&authority, "server", &[]);
    // Tinyproxy opens tunnels to the port of `https` only, unless no port is listed at all.
    let (plain, direct) = (Upstream::start().await, Upstream::start().await);
    let ca = authority.file("ca.pem");
    let lines = format!(
        "outbound = [\"http://{}\", \"http://localhost:{}\", \"https://127.0.0.1:{}\"]\ntls = {{ ca = '{}' }}",
        plain.address,
        direct.address.port(),
        server.port,
        ca.display()
    );
    let url = format!("http://{}", proxy.address());
    let gateway = TestGateway::builder()
        .guest_with("calls_out", &lines)
        .environment("HTTP_PROXY", &url)
        .environment("HTTPS_PROXY", &url)
        .environment("NO_PROXY", "localhost")
        .start();
    let call = async |url: &str| gateway.get(&format!("/calls-out?to={url}")).await.text();
    let told = call(&format!("http://{}/path", plain.address)).await;
    assert_eq!(told, "GET /path");
    let told = call(&format!("https://127.0.0.1:{}/", server.port)).await;
    assert!(told.contains("s_server"), "{told}");
    let told = call(&format!("http://localhost:{}/path", direct.address.port())).await;
    assert_eq!(told, "GET /path");
    let log = proxy.log();
    assert!(
        log.contains(&format!("GET http://{}/path", plain.address)),
        "{log}"
    );
    assert!(
        log.contains(&format!("CONNECT 127.0.0.1:{}", server.port)),
        "{log}"
    );
    assert!(!log.contains("localhost"), "{log}");
}
