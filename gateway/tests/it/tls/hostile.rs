//! Clients that are slow, deaf or busy without a purpose, over TLS.

use std::sync::Arc;

use rustls::{
    ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite,
    crypto::{
        cipher::{OutboundChunks, OutboundPlainMessage},
        ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    },
    pki_types::ServerName,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::TlsConnector;

use super::{authority, client_config, client_config_of, connect, get, secured};
use crate::harness::{Authority, TestGateway, until, within};

/// The first bytes of a client.
pub(super) fn client_hello(authority: &Authority) -> Vec<u8> {
    let config = Arc::new(client_config(authority, &[b"http/1.1"]));
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

async fn cut(gateway: &TestGateway, reason: &str) -> f64 {
    let metrics = gateway.metrics().await;
    metrics.sum("wasmgate_clients_cut_total", &[("reason", reason)])
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_closed_in_the_time_for_a_head_and_nobody_waits_for_it() {
    let authority = authority();
    let gateway = secured(&authority)
        .server("header_timeout = \"8s\"\nconnections = 60\nconnections_per_client = 60")
        .guest("hello")
        .start();
    let hello = client_hello(&authority);
    let mut slow = Vec::new();
    // A part of the first message, all of it and nothing more, and nothing at all.
    for length in [1, 5, hello.len() / 2, hello.len() - 1, hello.len(), 0] {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            stream.write_all(&hello[..length]).await.unwrap();
            slow.push(stream);
        }
    }
    gateway
        .wait_for_metric("wasmgate_tls_handshakes_in_progress", &[], 40)
        .await;
    assert_eq!(get(&gateway, &authority, b"h2", "/hello").await.status, 200);
    for mut stream in slow {
        let mut answer = Vec::new();
        let _ = within("the end of a handshake", stream.read_to_end(&mut answer)).await;
    }
    gateway
        .wait_for_metric(
            "wasmgate_tls_handshakes_total",
            &[("result", "timeout")],
            40,
        )
        .await;
    gateway
        .wait_for_metric("wasmgate_tls_handshakes_total", &[("result", "silent")], 8)
        .await;
    gateway
        .wait_for_metric("wasmgate_tls_handshakes_in_progress", &[], 0)
        .await;
}

#[tokio::test]
async fn bytes_that_are_no_tls_are_refused_with_an_alert_of_it() {
    let authority = authority();
    let gateway = secured(&authority).guest("hello").start();
    let mut noise = client_hello(&authority);
    noise.iter_mut().skip(9).for_each(|byte| *byte ^= 0x5a);
    for bytes in [
        &noise[..],
        &[22, 3, 1, 255, 255, 0],
        &[0x80, 0x2e, 1, 0, 2],
        &[0; 64],
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        within("the end", stream.read_to_end(&mut answer))
            .await
            .unwrap();
        // The type of an alert, or nothing where no message was whole.
        assert!(
            answer.is_empty() || answer[0] == 21,
            "{bytes:?}: {answer:?}"
        );
    }
    assert_eq!(
        get(&gateway, &authority, b"http/1.1", "/hello")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_over_tls_too() {
    let authority = authority();
    let gateway = secured(&authority)
        .server("write_timeout = \"500ms\"")
        .limits("timeout = \"5m\"")
        .guest("sends_bytes")
        .guest("hello")
        .start();
    let mut deaf = Vec::new();
    for chunk in [4096, 1 << 20] {
        for _ in 0..5 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(16 << 10).unwrap();
            let tcp = socket.connect(gateway.address).await.unwrap();
            let connector = TlsConnector::from(Arc::new(client_config(&authority, &[b"http/1.1"])));
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = within("a handshake", connector.connect(name, tcp))
                .await
                .unwrap();
            let request = format!("GET /sends-bytes?n=100000000&chunk={chunk} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            deaf.push(stream);
        }
    }
    until("the end of those that read nothing", || async {
        cut(&gateway, "slow-reader").await >= deaf.len() as f64
    })
    .await;
    gateway.wait_for_in_flight("sends-bytes", 0).await;
    assert_eq!(get(&gateway, &authority, b"h2", "/hello").await.status, 200);
}

/// Records with nothing in them, as many as take so many bytes.
fn empty_records(connection: ClientConnection, bytes: usize) -> Vec<u8> {
    let secrets = connection.dangerous_extract_secrets().unwrap();
    let (mut number, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else {
        panic!("another cipher");
    };
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else {
        panic!("another version");
    };
    let mut encrypter = suite.aead_alg.encrypter(key, iv);
    let mut records = Vec::new();
    while records.len() < bytes {
        let empty = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_3,
            payload: OutboundChunks::Single(&[]),
        };
        records.extend(encrypter.encrypt(empty, number).unwrap().encode());
        number += 1;
    }
    records
}

#[tokio::test]
async fn records_with_nothing_in_them_end_the_connection_that_sends_them() {
    let authority = authority();
    let gateway = secured(&authority)
        .server("header_timeout = \"10m\"")
        .guest("hello")
        .start();
    for protocol in [b"http/1.1".as_slice(), b"h2"] {
        let mut provider = rustls::crypto::ring::default_provider();
        provider
            .cipher_suites
            .retain(|suite| suite.suite() == TLS13_AES_128_GCM_SHA256.suite());
        let mut config = client_config_of(&authority, provider, &[protocol]);
        config.enable_secret_extraction = true;
        let stream = connect(&gateway, config).await.unwrap();
        let (mut tcp, connection) = stream.into_inner();
        let records = empty_records(connection, 1 << 20);
        // The connection ends before all of them are taken.
        let _ = within("the records to go out", tcp.write_all(&records)).await;
        let mut rest = Vec::new();
        let _ = within("the end", tcp.read_to_end(&mut rest)).await;
    }
    assert_eq!(get(&gateway, &authority, b"h2", "/hello").await.status, 200);
}

#[tokio::test]
async fn a_connection_without_a_place_is_answered_over_tls() {
    let authority = authority();
    let gateway = secured(&authority)
        .server("connections = 4\nconnections_per_client = 4\nheader_timeout = \"10m\"")
        .guest("hello")
        .start();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(
            connect(&gateway, client_config(&authority, &[b"h2"]))
                .await
                .unwrap(),
        );
    }
    let reply = get(&gateway, &authority, b"http/1.1", "/hello").await;
    reply.assert_error(503, "overloaded");
    drop(held);
    until("a free place", || async {
        get(&gateway, &authority, b"http/1.1", "/hello")
            .await
            .status
            == 200
    })
    .await;
}
