//! Another certificate in a gateway that serves: however its files are changed, and never half of it.

use std::{
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use http::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{VALID, authority, client_config, connect, get, secured, tls};
use crate::harness::{Authority, Signal, TestGateway, empty, full, run, send_to, until};

/// Returns whether clients are shown this file.
async fn shows(gateway: &TestGateway, authority: &Authority, file: &Path) -> bool {
    let stream = connect(gateway, client_config(authority, &[b"http/1.1"]))
        .await
        .unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    shown[0] == CertificateDer::from_pem_file(file).unwrap()
}

async fn reload(gateway: &TestGateway) -> u16 {
    let request = http::Request::post("/reload")
        .header("host", gateway.admin.to_string())
        .header("content-type", "application/json");
    let reply = send_to(gateway.admin, request.body(full("{}")).unwrap()).await;
    reply.status.as_u16()
}

/// Requests on connections of their own, as long as they are wanted; the number of those that failed.
struct Load {
    is_wanted: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<u64>>,
}

impl Load {
    fn start(gateway: &TestGateway, authority: &Authority) -> Self {
        let (is_wanted, served) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let mut load = Self {
            is_wanted,
            served,
            tasks: Vec::new(),
        };
        let address = gateway.address;
        for _ in 0..4 {
            let config = Arc::new(client_config(authority, &[b"http/1.1"]));
            let (is_wanted, served) = (Arc::clone(&load.is_wanted), Arc::clone(&load.served));
            load.tasks.push(tokio::spawn(async move {
                let mut failed = 0;
                while is_wanted.load(Ordering::Relaxed) {
                    match ask(address, &config).await {
                        Some(200) => drop(served.fetch_add(1, Ordering::Relaxed)),
                        _ => failed += 1,
                    }
                }
                failed
            }));
        }
        load
    }

    /// Waits until so many more were served.
    async fn go_on(&self, count: u64) {
        let before = self.served.load(Ordering::Relaxed);
        until("more requests", || async {
            self.served.load(Ordering::Relaxed) >= before + count
        })
        .await;
    }

    async fn end(self) -> u64 {
        self.is_wanted.store(false, Ordering::Relaxed);
        let mut failed = 0;
        for task in self.tasks {
            failed += task.await.unwrap();
        }
        failed
    }
}

async fn ask(address: std::net::SocketAddr, config: &Arc<rustls::ClientConfig>) -> Option<u16> {
    let tcp = tokio::net::TcpStream::connect(address).await.ok()?;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, tcp).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::get("/hello")
        .header("host", "x")
        .body(empty())
        .unwrap();
    let response = sender.send_request(request).await.ok()?;
    Some(response.status().as_u16())
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_shown_and_no_request_fails() {
    let authority = authority();
    let gateway = secured(&authority).guest("hello").start();
    let (certificate, key) = (authority.file("server.pem"), authority.file("server.key"));
    let load = Load::start(&gateway, &authority);
    for round in 0..4 {
        load.go_on(20).await;
        let name = format!("next-{round}");
        authority.sign(&name, &["localhost"], VALID);
        let next = ["pem", "key"].map(|ending| authority.file(&format!("{name}.{ending}")));
        if round % 2 == 0 {
            // Each by a rename, the certificate first; between the two they do not fit.
            std::fs::copy(&next[0], authority.file("new")).unwrap();
            std::fs::rename(authority.file("new"), &certificate).unwrap();
            load.go_on(20).await;
            std::fs::copy(&next[1], authority.file("new")).unwrap();
            std::fs::rename(authority.file("new"), &key).unwrap();
        } else {
            // In place.
            std::fs::copy(&next[1], &key).unwrap();
            std::fs::copy(&next[0], &certificate).unwrap();
        }
        until("the next certificate", || {
            shows(&gateway, &authority, &next[0])
        })
        .await;
        load.go_on(20).await;
    }
    assert_eq!(load.end().await, 0, "requests failed");
    let done = [("result", "done")];
    gateway
        .wait_for_metric("wasmgate_tls_certificate_changes_total", &done, 4)
        .await;
}

#[tokio::test]
async fn a_folder_that_is_swapped_for_another_is_followed_and_connections_keep_what_they_were_shown() {
    let authority = authority();
    authority.sign("next", &["localhost"], VALID);
    for (folder, name) in [("one", "server"), ("two", "next")] {
        std::fs::create_dir(authority.file(folder)).unwrap();
        for ending in ["pem", "key"] {
            let from = authority.file(&format!("{name}.{ending}"));
            std::fs::copy(from, authority.file(&format!("{folder}/tls.{ending}"))).unwrap();
        }
    }
    // As Kubernetes lays a Secret out.
    let link = |to: &str, at: &str| symlink(to, authority.file(at)).unwrap();
    link("one", "data");
    link("data/tls.pem", "tls.pem");
    link("data/tls.key", "tls.key");
    let gateway = TestGateway::builder()
        .server(&tls(&authority, "tls"))
        .guest("hello")
        .start();
    let stream = connect(&gateway, client_config(&authority, &[b"http/1.1"]))
        .await
        .unwrap();
    let (mut kept, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    link("two", "data.new");
    std::fs::rename(authority.file("data.new"), authority.file("data")).unwrap();
    let next = authority.file("next.pem");
    until("the next certificate", || {
        shows(&gateway, &authority, &next)
    })
    .await;
    let request = Request::get("/hello")
        .header("host", "x")
        .body(empty())
        .unwrap();
    assert_eq!(kept.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_pair_that_is_wrong_is_told_everywhere_and_the_one_before_is_shown() {
    let authority = authority();
    authority.sign("next", &["localhost"], VALID);
    let before = authority.file("before.pem");
    std::fs::copy(authority.file("server.pem"), &before).unwrap();
    let gateway = secured(&authority).guest("hello").start();
    let status = || {
        let output = run(
            gateway.folder(),
            &["status", "--admin", &gateway.admin.to_string()],
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(
        status().contains("server.pem: valid until 2099-12-31T00:00:00Z"),
        "{}",
        status()
    );
    let name = "wasmgate_tls_certificate_expiry_timestamp_seconds";
    assert_eq!(gateway.metrics().await.sum(name, &[]), 4_102_358_400.0);

    std::fs::copy(authority.file("next.key"), authority.file("server.key")).unwrap();
    until("a word of what is wrong", || async {
        gateway
            .admin_get("/readyz")
            .await
            .text()
            .contains("certificate-refused")
    })
    .await;
    let ready = gateway.admin_get("/readyz").await;
    assert_eq!(ready.status, 200);
    for text in [ready.text(), status()] {
        assert!(text.contains("not the key of the certificate"), "{text}");
    }
    gateway
        .wait_for_event(&[(
            "message",
            "the certificate of [server.tls] cannot be renewed; the one before is shown still",
        )])
        .await;
    let refused = [("result", "refused")];
    gateway
        .wait_for_metric("wasmgate_tls_certificate_changes_total", &refused, 1)
        .await;
    assert!(shows(&gateway, &authority, &before).await);
    assert_eq!(reload(&gateway).await, 422, "a reload says so too");
    assert!(shows(&gateway, &authority, &before).await);

    // Mended, it is shown, and nothing is amiss any more.
    let next = authority.file("next.pem");
    std::fs::copy(&next, authority.file("server.pem")).unwrap();
    until("the next certificate", || {
        shows(&gateway, &authority, &next)
    })
    .await;
    assert_eq!(reload(&gateway).await, 200);
    assert_eq!(gateway.admin_get("/readyz").await.text(), "ok\n");
    assert_eq!(get(&gateway, &authority, b"h2", "/hello").await.status, 200);
}

#[tokio::test]
async fn a_reload_takes_other_files_and_whether_there_is_tls_needs_a_restart() {
    let authority = authority();
    authority.sign("next", &["localhost"], VALID);
    let gateway = secured(&authority).guest("hello").start();
    TestGateway::builder()
        .server(&tls(&authority, "next"))
        .guest("hello")
        .write_to(gateway.folder());
    gateway.signal(Signal::Hangup);
    let next = authority.file("next.pem");
    until("the next certificate", || {
        shows(&gateway, &authority, &next)
    })
    .await;
    TestGateway::builder()
        .guest("hello")
        .write_to(gateway.folder());
    assert_eq!(reload(&gateway).await, 200);
    let ready = gateway.admin_get("/status").await.text();
    assert!(ready.contains("server.tls"), "{ready}");
    assert!(shows(&gateway, &authority, &next).await);
}
