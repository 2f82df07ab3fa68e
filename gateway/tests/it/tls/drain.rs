//! The end of a gateway over TLS: what has begun to arrive is answered, and what is quiet is closed in order.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    net::TcpStream,
    sync::oneshot,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{authority, client_config, connect, secured};
use crate::harness::{Authority, Signal, TestGateway, until, within};

const HELLO: &[u8] = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";

/// A connection of which the last bytes of one write are kept back until the test lets them go.
async fn with_a_gate(
    gateway: &TestGateway,
    authority: &Authority,
) -> (
    TlsStream<DuplexStream>,
    oneshot::Sender<oneshot::Receiver<()>>,
) {
    let (near, far) = duplex(1 << 16);
    let tcp = TcpStream::connect(gateway.address).await.unwrap();
    let (hold, mut held) = oneshot::channel::<oneshot::Receiver<()>>();
    tokio::spawn(async move {
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (tokio::io::split(far), tcp.into_split());
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let mut buffer = vec![0; 1 << 16];
        while let Ok(bytes @ 1..) = from_client.read(&mut buffer).await {
            let mut rest = &buffer[..bytes];
            if let Ok(gate) = held.try_recv() {
                to_server.write_all(&rest[..bytes / 2]).await.unwrap();
                rest = &rest[bytes / 2..];
                let _ = gate.await;
            }
            to_server.write_all(rest).await.unwrap();
        }
    });
    let connector = TlsConnector::from(Arc::new(client_config(authority, &[b"http/1.1"])));
    let name = ServerName::try_from("localhost").unwrap();
    let tls = within("a handshake", connector.connect(name, near)).await;
    (tls.unwrap(), hold)
}

async fn answer<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("Hello from a package\n") {
        let bytes = within("an answer", stream.read_buf(&mut read))
            .await
            .unwrap();
        assert!(bytes > 0, "{}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_request_of_which_only_a_part_of_a_record_has_come_is_answered_and_idle_connections_are_closed() {
    let authority = authority();
    let mut gateway = secured(&authority)
        .server("drain_timeout = \"10m\"\nheader_timeout = \"10m\"")
        .guest("hello")
        .start();
    let (mut slow, hold) = with_a_gate(&gateway, &authority).await;
    slow.write_all(HELLO).await.unwrap();
    assert!(!answer(&mut slow).await.contains("connection: close"));
    let mut idle = Vec::new();
    for protocol in [b"h2".as_slice(), b"http/1.1"] {
        idle.push(
            connect(&gateway, client_config(&authority, &[protocol]))
                .await
                .unwrap(),
        );
    }
    let mut served = connect(&gateway, client_config(&authority, &[b"http/1.1"]))
        .await
        .unwrap();
    served.write_all(HELLO).await.unwrap();
    answer(&mut served).await;
    idle.push(served);
    let (open, gate) = oneshot::channel();
    hold.send(gate).unwrap();
    slow.write_all(HELLO).await.unwrap();
    slow.flush().await.unwrap();

    gateway.signal(Signal::Terminate);
    until("a gateway that is not ready", || async {
        gateway.admin_get("/readyz").await.status == 503
    })
    .await;
    for mut connection in idle {
        let mut rest = Vec::new();
        let _ = within(
            "the end of an idle connection",
            connection.read_to_end(&mut rest),
        )
        .await;
    }
    open.send(()).unwrap();
    let last = answer(&mut slow).await;
    assert!(last.contains("connection: close"), "{last}");
    drop(slow);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn an_answer_that_is_the_last_one_ends_with_the_end_of_tls() {
    let authority = authority();
    let gateway = secured(&authority)
        .guest("hello")
        .guest("sends_bytes")
        .start();
    for (request, words) in [
        (
            "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            "Hello from a package\n",
        ),
        ("GET /sends-bytes?n=300000 HTTP/1.0\r\n\r\n", "xxxx"),
        ("NO REQUEST\r\n\r\n", "bad-request"),
    ] {
        let mut stream = connect(&gateway, client_config(&authority, &[b"http/1.1"]))
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        // Without the last record of TLS this would be an error.
        within("the end", stream.read_to_end(&mut read))
            .await
            .unwrap();
        let read = String::from_utf8(read).unwrap();
        assert!(read.contains(words), "{request}: {read}");
    }
}
