//! Clients that send what serves no request: they are told to calm down, and nobody else waits for them.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

use crate::harness::{TestGateway, within};

/// Connections that flood at once.
const ATTACKERS: usize = 4;

/// The bytes that each sends, unless it is ended before.
const FLOOD: usize = 64 << 20;

/// What nobody beside them waits for an answer, on a machine that is busy with other tests as well.
const NEIGHBOUR: Duration = Duration::from_secs(15);

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// HEADERS with a method of the static table, and a path (RFC 7541, B).
fn head(stream: u32, method: u8, path: &str, flags: u8) -> Vec<u8> {
    let mut block = vec![
        method,
        0x86,
        0x01,
        1,
        b'x',
        0x04,
        u8::try_from(path.len()).unwrap(),
    ];
    block.extend(path.bytes());
    frame(1, END_HEADERS | flags, stream, &block)
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    head(stream, 0x82, path, END_STREAM)
}

fn post(stream: u32) -> Vec<u8> {
    head(stream, 0x83, "/reads-the-whole-body", 0)
}

fn preface(settings: &[u8]) -> Vec<u8> {
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, settings),
    ]
    .concat()
}

/// Sends a beginning and then a flood over and over, until the gateway has enough. What it answered, and whether it
/// ended the connection.
async fn flood(address: SocketAddr, begin: Vec<u8>, flood: Vec<u8>) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let write = async {
        writer.write_all(&begin).await?;
        for _ in 0..FLOOD / flood.len() {
            writer.write_all(&flood).await?;
        }
        writer.shutdown().await
    };
    let read = async { while matches!(reader.read_buf(&mut answer).await, Ok(1..)) {} };
    let (written, ()) = within("the end of a flood", async { tokio::join!(write, read) }).await;
    (answer, written.is_err())
}

async fn neighbour(gateway: &TestGateway) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let asked = Instant::now();
        assert_eq!(gateway.get("/hello").await.status, 200);
        slowest = slowest.max(asked.elapsed());
    }
    slowest
}

/// The code of the GOAWAY frame in an answer.
fn goaway(mut answer: &[u8]) -> Option<u8> {
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = answer {
        if *kind == 7 {
            return rest.get(7).copied();
        }
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        answer = rest.get(length..)?;
    }
    None
}

fn gateway() -> TestGateway {
    TestGateway::builder()
        .server("workers = 1")
        .guest("hello")
        .guest("hangs")
        .guest("sends_bytes")
        .guest_with(
            "reads_the_whole_body",
            "limits = { request_body = \"1GiB\" }",
        )
        .start()
}

/// Lets some flood, with the same, and asks for hello beside them.
async fn beside(gateway: &TestGateway, name: &str, begin: &[u8], pattern: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let mut attackers = JoinSet::new();
    let pattern = pattern.repeat((1 << 16) / pattern.len() + 1);
    for _ in 0..ATTACKERS {
        attackers.spawn(flood(gateway.address, begin.to_vec(), pattern.clone()));
    }
    let slowest = neighbour(gateway).await;
    assert!(slowest < NEIGHBOUR, "{name}: {slowest:?}");
    attackers.join_all().await
}

#[tokio::test]
async fn who_floods_with_frames_of_http2_is_told_to_calm_down_and_nobody_waits_for_it() {
    let gateway = gateway();
    let none: &[u8] = &[];
    let padding = [[255].as_slice(), &[0; 255]].concat();
    let upload = [preface(none), post(1)].concat();
    for (name, begin, flood) in [
        ("ping", preface(none), frame(6, 0, 0, &[0; 8])),
        ("settings", preface(none), frame(4, 0, 0, none)),
        (
            "windows",
            preface(none),
            frame(4, 0, 0, &[0, 4, 0, 0, 0, 1]),
        ),
        ("priority", preface(none), frame(2, 0, 1, &[0, 0, 0, 3, 1])),
        ("unknown", preface(none), frame(77, 0, 0, b"x")),
        ("empty data", upload.clone(), frame(0, 0, 1, none)),
        ("padding", upload, frame(0, PADDED, 1, &padding)),
        (
            "window by one",
            [
                preface(&[0, 4, 0, 0, 0, 1]),
                get(1, "/sends-bytes?n=100000000"),
            ]
            .concat(),
            frame(8, 0, 1, &[0, 0, 0, 1]),
        ),
    ] {
        for (answer, _) in beside(&gateway, name, &begin, &flood).await {
            assert_eq!(goaway(&answer), Some(11), "{name}");
        }
    }
    // h2 ends some of them by itself.
    let counted = gateway.metrics().await;
    let cut = counted.sum("wasmgate_clients_cut_total", &[("reason", "flood")]);
    assert!(cut >= (6 * ATTACKERS) as f64, "{cut}");
    gateway.wait_for_in_flight("sends-bytes", 0).await;
}

#[tokio::test]
async fn who_opens_streams_only_to_reset_them_is_told_to_calm_down() {
    let gateway = gateway();
    for path in ["/hello", "/hangs"] {
        let streams = (0..50_000).flat_map(|number| {
            let stream = 2 * number + 1;
            [get(stream, path), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
        });
        let streams: Vec<u8> = streams.collect();
        let mut attackers = JoinSet::new();
        for _ in 0..ATTACKERS {
            let begin = [preface(&[]), streams.clone()].concat();
            attackers.spawn(flood(gateway.address, begin, vec![0; FLOOD + 1]));
        }
        let slowest = neighbour(&gateway).await;
        assert!(slowest < NEIGHBOUR, "{path}: {slowest:?}");
        for (answer, _) in attackers.join_all().await {
            assert_eq!(goaway(&answer), Some(11), "{path}");
        }
        gateway.wait_for_in_flight("hangs", 0).await;
    }
}

#[tokio::test]
async fn a_chunk_size_of_zeros_without_end_is_ended() {
    let gateway = gateway();
    let head = b"POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for (answer, is_ended) in beside(&gateway, "zeros", head, b"0").await {
        assert!(is_ended, "{}", String::from_utf8_lossy(&answer));
    }
    // Chunks of a byte are what some clients send.
    let crumbs = [
        head.to_vec(),
        b"1\r\nx\r\n".repeat(100_000),
        b"0\r\n\r\n".to_vec(),
    ]
    .concat();
    let mut connection = gateway.raw().await;
    connection.send(crumbs).await;
    let response = connection.response().await;
    assert_eq!((response.status(), response.body.as_str()), (200, "100000"));
}

#[tokio::test]
async fn a_client_with_many_requests_and_their_frames_is_no_flood() {
    let gateway = gateway();
    let mut client = gateway.http2().await;
    for _ in 0..2_000 {
        within("the connection", client.ready()).await.unwrap();
        let request = http::Request::get(format!("http://{}/nowhere", gateway.address))
            .body(crate::harness::empty())
            .unwrap();
        let response = within("a response", client.send_request(request)).await;
        assert_eq!(response.unwrap().status(), 404);
    }
}
