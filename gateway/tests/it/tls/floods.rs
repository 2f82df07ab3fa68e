//! Handshakes, connections and messages of TLS in numbers: what they cost, and whom.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ContentType;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use wasmgate_real_dapr::left_out;

use super::{VALID, authority, client_config, connect, get, hostile::client_hello, secured, tls};
use crate::harness::{Authority, Reply, TestGateway, empty, until, within};

/// Connections that begin a handshake at once: seconds of signatures.
const FLOOD: usize = 800;

/// Connections of each kind whose memory is measured.
const MANY: usize = 300;

/// The most bytes for one of them: buffers of HTTP/2 are the larger part.
const BYTES: u64 = 96 << 10;

/// A connection from another address of this machine, which is another client.
async fn from_elsewhere(gateway: &TestGateway) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    within("a connection", socket.connect(gateway.address))
        .await
        .unwrap()
}

/// Lets those count themselves who were answered by now.
async fn counted() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

/// Clients that each begin a handshake, and the number of those that were answered.
async fn flood(gateway: &TestGateway, authority: &Authority) -> Arc<AtomicUsize> {
    let answered = Arc::new(AtomicUsize::new(0));
    let hello = client_hello(authority);
    let mut streams = Vec::new();
    for _ in 0..FLOOD {
        streams.push(from_elsewhere(gateway).await);
    }
    for mut stream in streams {
        let _ = stream.write_all(&hello).await;
        let answered = Arc::clone(&answered);
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 1]).await;
            answered.fetch_add(1, Ordering::Relaxed);
            // It never goes on.
            std::future::pending::<()>().await;
        });
    }
    counted().await;
    answered
}

#[tokio::test]
async fn a_flood_of_handshakes_keeps_others_waiting_for_hardly_any_of_them() {
    let authority = Authority::new();
    authority.sign_rsa("server", &["localhost", "127.0.0.1"], VALID, 3072);
    let gateway = secured(&authority)
        .server("workers = 1\nheader_timeout = \"10m\"")
        .guest("hello")
        .start();
    let stream = connect(&gateway, client_config(&authority, &[b"http/1.1"]))
        .await
        .unwrap();
    let (mut open, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answered = flood(&gateway, &authority).await;
    let before = answered.load(Ordering::Relaxed);
    for _ in 0..10 {
        let request = gateway.request("GET", "/hello").body(empty()).unwrap();
        let response = within("a response", open.send_request(request)).await;
        assert_eq!(Reply::of(response.unwrap()).await.unwrap().status, 200);
    }
    let meanwhile = answered.load(Ordering::Relaxed) - before;
    assert!(
        meanwhile < FLOOD / 2,
        "{meanwhile} were answered before 10 requests"
    );
    counted().await;
    let before = answered.load(Ordering::Relaxed);
    let reply = get(&gateway, &authority, b"http/1.1", "/hello").await;
    assert_eq!(reply.status, 200);
    let meanwhile = answered.load(Ordering::Relaxed) - before;
    assert!(
        meanwhile < FLOOD / 4,
        "{meanwhile} were answered before another client"
    );
    until("all of the flood to be answered", || async {
        answered.load(Ordering::Relaxed) == FLOOD
    })
    .await;
}

#[tokio::test]
async fn a_client_without_a_place_costs_no_handshake_while_others_wait_for_theirs() {
    let authority = Authority::new();
    authority.sign_rsa("server", &["localhost", "127.0.0.1"], VALID, 3072);
    let gateway = secured(&authority)
        .server(&format!(
            "workers = 1\nheader_timeout = \"10m\"\nconnections_per_client = {FLOOD}"
        ))
        .guest("hello")
        .start();
    let answered = flood(&gateway, &authority).await;
    let mut closed = 0;
    let hello = client_hello(&authority);
    for _ in 0..20 {
        let mut stream = from_elsewhere(&gateway).await;
        let _ = stream.write_all(&hello).await;
        let read = within("the end", stream.read(&mut [0; 1])).await;
        closed += usize::from(read.is_err() || matches!(read, Ok(0)));
    }
    counted().await;
    let meanwhile = answered.load(Ordering::Relaxed);
    assert!(meanwhile == FLOOD || closed == 20, "{closed}, {meanwhile}");
    assert_eq!(get(&gateway, &authority, b"h2", "/hello").await.status, 200);
}

#[tokio::test]
async fn idle_connections_and_half_handshakes_cost_little_memory() {
    let authority = authority();
    let gateway = secured(&authority)
        .server("header_timeout = \"10m\"\nconnections = 4000\nconnections_per_client = 4000")
        .guest("hello")
        .start();
    let mut held = Vec::new();
    for protocol in [b"http/1.1".as_slice(), b"h2"] {
        // What is kept once for all is not counted.
        get(&gateway, &authority, protocol, "/hello").await;
        let before = gateway.resident_bytes();
        for _ in 0..MANY {
            let stream = connect(&gateway, client_config(&authority, &[protocol])).await;
            held.push(stream.unwrap());
        }
        let each = gateway.resident_bytes().saturating_sub(before) / MANY as u64;
        println!(
            "an idle connection of {}: {each} bytes",
            String::from_utf8_lossy(protocol)
        );
        assert!(each < BYTES, "{each}");
    }
    let before = gateway.resident_bytes();
    let mut half = Vec::new();
    for _ in 0..MANY {
        let mut stream = from_elsewhere(&gateway).await;
        let _ = stream.write_all(&long_hello(15 << 10)).await;
        half.push(stream);
    }
    gateway
        .wait_for_metric("wasmgate_tls_handshakes_in_progress", &[], MANY as u64)
        .await;
    let each = gateway.resident_bytes().saturating_sub(before) / MANY as u64;
    println!("half a handshake: {each} bytes");
    assert!(each < BYTES, "{each}");
    assert_eq!(get(&gateway, &authority, b"h2", "/hello").await.status, 200);
}

/// So many bytes of a first message that has no end: in records as they are allowed, of the longest that there are.
fn long_hello(bytes: usize) -> Vec<u8> {
    let content = 16 << 10;
    // A client's hello of 65,520 bytes.
    let message = [&[1, 0, 0xff, 0xf0][..], &[3, 3], &[7; 0xfff0]].concat();
    let mut wire = Vec::new();
    for part in message.chunks(content) {
        wire.extend([22, 3, 1]);
        wire.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        wire.extend(part);
    }
    wire.truncate(bytes);
    wire
}

#[tokio::test]
async fn a_handshake_that_is_longer_than_any_needs_to_be_is_ended() {
    let authority = authority();
    let gateway = secured(&authority)
        .server("header_timeout = \"10m\"")
        .guest("hello")
        .start();
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let _ = stream.write_all(&long_hello(40 << 10)).await;
    let mut rest = Vec::new();
    let _ = within("the end", stream.read_to_end(&mut rest)).await;
    let failed = [("result", "failed")];
    gateway
        .wait_for_metric("wasmgate_tls_handshakes_total", &failed, 1)
        .await;
    assert_eq!(get(&gateway, &authority, b"h2", "/hello").await.status, 200);
}

#[tokio::test]
async fn a_client_with_a_long_certificate_is_let_in_where_one_is_asked_for() {
    let (servers, clients) = (authority(), Authority::new());
    let names: Vec<_> = (0..1000)
        .map(|n| format!("client-{n}.example.org"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    clients.sign("client", &names, VALID);
    let ca = clients.file("ca.pem");
    let lines = tls(&servers, "server").replace(" }", &format!(", client_ca = '{}' }}", ca.display()));
    let gateway = TestGateway::builder().server(&lines).guest("hello").start();
    let curl = Command::new("curl")
        .args(["--silent", "--show-error", "--cacert"])
        .arg(servers.file("ca.pem"))
        .arg("--cert")
        .arg(clients.file("client.pem"))
        .arg("--key")
        .arg(clients.file("client.key"))
        .arg(format!(
            "https://localhost:{}/hello",
            gateway.address.port()
        ))
        .output();
    let Ok(output) = curl else {
        return left_out(format_args!("curl cannot be run"));
    };
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(said, "Hello from a package\n");
}

#[tokio::test]
async fn new_keys_without_end_and_nothing_else_end_the_connection_that_asks_for_them() {
    let authority = authority();
    let gateway = secured(&authority)
        .server("header_timeout = \"10m\"")
        .guest("hello")
        .start();
    for protocol in [b"http/1.1".as_slice(), b"h2"] {
        let stream = connect(&gateway, client_config(&authority, &[protocol])).await;
        let (mut tcp, mut connection) = stream.unwrap().into_inner();
        let mut wire = Vec::new();
        for _ in 0..1000 {
            connection.refresh_traffic_keys().unwrap();
            while connection.wants_write() {
                connection.write_tls(&mut wire).unwrap();
            }
        }
        assert_eq!(wire[0], u8::from(ContentType::ApplicationData));
        let _ = within("the keys to go out", tcp.write_all(&wire)).await;
        let mut rest = Vec::new();
        let _ = within("the end", tcp.read_to_end(&mut rest)).await;
    }
    assert_eq!(get(&gateway, &authority, b"h2", "/hello").await.status, 200);
}

#[tokio::test]
async fn who_asks_for_another_handshake_on_a_connection_gets_none_and_keeps_nobody_waiting() {
    let authority = authority();
    let gateway = secured(&authority).guest("hello").start();
    let child = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect"])
        .arg(gateway.address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        return left_out(format_args!("openssl cannot be run"));
    };
    // A line of `R` has it ask for a handshake.
    let mut stdin = child.stdin.take().unwrap();
    for _ in 0..3 {
        let _ = stdin.write_all(b"R\n");
    }
    drop(stdin);
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = within("the end of openssl", ended).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("RENEGOTIATING"), "{said}");
    assert!(said.contains("no renegotiation"), "{said}");
    let done = gateway.metrics().await;
    let done = done.sum("wasmgate_tls_handshakes_total", &[("result", "done")]);
    assert_eq!(done, 1.0, "one handshake for one connection");
    assert_eq!(get(&gateway, &authority, b"h2", "/hello").await.status, 200);
}
