//! Answers that are given before a request's body has been read: they arrive, whatever the client is, and a connection
//! goes on where the rest is not worth another one.

use std::process::Command;

use bytes::Bytes;
use http_body::Frame;
use wasmgate_real_dapr::left_out;

use crate::harness::{Reply, TestGateway, channel, empty, within};

/// An upload far above all buffers on the way.
const UPLOAD: usize = 48 << 20;

/// The times that each is tried: it was a matter of luck once.
const TRIES: usize = 8;

fn gateway() -> TestGateway {
    TestGateway::builder()
        .limits("request_body = \"1MiB\"")
        .guest("reads_the_whole_body")
        .guest_with("hello", "limits = { request_body = \"1GiB\" }")
        .guest_with("torments", "limits = { request_body = \"1GiB\" }")
        .start()
}

/// Sends a head and then all of a body before it reads a byte, as simple clients do.
async fn upload(gateway: &TestGateway, target: &str, framing: &str) -> String {
    let mut connection = gateway.raw().await;
    connection
        .send(format!(
            "POST {target} HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n"
        ))
        .await;
    let chunk = vec![b'x'; 1 << 16];
    for _ in 0..UPLOAD / chunk.len() {
        if framing.contains("chunked") {
            connection.send("10000\r\n").await;
        }
        connection.send(&chunk).await;
        if framing.contains("chunked") {
            connection.send("\r\n").await;
        }
    }
    if framing.contains("chunked") {
        connection.send("0\r\n\r\n").await;
    }
    connection.close_sending_side().await;
    connection.rest().await
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_its_answer() {
    let gateway = gateway();
    let length = format!("content-length: {UPLOAD}");
    for (target, framing, status, body) in [
        (
            "/reads-the-whole-body",
            length.as_str(),
            "413",
            "body-too-large",
        ),
        (
            "/reads-the-whole-body",
            "transfer-encoding: chunked",
            "413",
            "body-too-large",
        ),
        ("/nowhere", length.as_str(), "404", "no-route"),
        ("/hello", length.as_str(), "200", "Hello from a package"),
        (
            "/hello",
            "transfer-encoding: chunked",
            "200",
            "Hello from a package",
        ),
    ] {
        for _ in 0..TRIES {
            let answer = upload(&gateway, target, framing).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{target}, {framing}: {answer}"
            );
            assert!(answer.contains(body), "{target}, {framing}: {answer}");
        }
    }
    gateway.wait_for_in_flight("hello", 0).await;
}

#[tokio::test]
async fn an_answer_before_an_announced_upload_says_that_the_connection_ends() {
    let gateway = gateway();
    let mut connection = gateway.raw().await;
    connection
        .send(format!(
            "POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: {UPLOAD}\r\n\r\n"
        ))
        .await;
    let response = connection.response().await;
    assert_eq!(
        (response.status(), response.header("connection")),
        (404, Some("close"))
    );
    // The client has its answer; our side is closed, and what it sends on is not met with a reset.
    assert_eq!(connection.rest().await, "");
}

#[tokio::test]
async fn an_answer_before_the_end_of_chunks_says_that_the_connection_ends_and_nothing_behind_them_is_served() {
    let gateway = gateway();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(1 << 16));
    for (target, status, chunks) in [
        ("/nowhere", 404, 1),
        ("/hello", 200, 1),
        ("/hello", 200, 0),
        ("/hello", 200, 100),
        ("/reads-the-whole-body", 413, 30),
    ] {
        let mut connection = gateway.raw().await;
        connection
            .send(format!(
                "POST {target} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            ))
            .await;
        for _ in 0..chunks {
            connection.send(&chunk).await;
        }
        let response = connection.response().await;
        assert_eq!(
            (response.status(), response.header("connection")),
            (status, Some("close")),
            "{target} after {chunks} chunks: {response:?}"
        );
        connection
            .send("0\r\n\r\nGET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        assert_eq!(
            connection.rest().await,
            "",
            "{target} after {chunks} chunks"
        );
    }
    let of_hello = [("package", "hello")];
    let served = gateway
        .metrics()
        .await
        .sum("wasmgate_requests_total", &of_hello);
    assert_eq!(served, 3.0);
}

#[tokio::test]
async fn an_answer_to_a_body_that_breaks_off_says_that_the_connection_ends() {
    let gateway = gateway();
    let long = "a".repeat(1 << 20);
    let trailers: String = (0..70_000)
        .map(|n| format!("x-{n}: aaaaaaaa\r\n"))
        .collect();
    for target in ["/reads-the-whole-body", "/hello", "/nowhere"] {
        for body in [
            "1\r\nxyz\r\n0\r\n\r\n".to_owned(),
            "-1\r\n".to_owned(),
            format!("1;{long}\r\nx\r\n0\r\n\r\n"),
            format!("1\r\nx\r\n0\r\n{trailers}\r\n"),
        ] {
            let mut connection = gateway.raw().await;
            connection
                .send(format!(
                    "POST {target} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{body}\
                     GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"
                ))
                .await;
            let response = connection.response().await;
            let begin = body.get(..20).unwrap_or(&body);
            assert_eq!(
                response.header("connection"),
                Some("close"),
                "{target} {begin}: {response:?}"
            );
            assert_eq!(connection.rest().await, "", "{target} {begin}");
        }
    }
}

#[tokio::test]
async fn chunks_that_nobody_reads_cost_no_connection_when_all_of_them_are_here() {
    let gateway = gateway();
    let mut connection = gateway.raw().await;
    for (target, status) in [("/hello", 200), ("/nowhere", 404), ("/hello", 200)] {
        for (size, trailer) in [(5, ""), (100_000, ""), (5, "x-end: 1\r\n")] {
            let body = "x".repeat(size);
            connection
                .send(format!(
                    "POST {target} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                     {size:x}\r\n{body}\r\n0\r\n{trailer}\r\n"
                ))
                .await;
            let response = connection.response().await;
            assert_eq!(
                (response.status(), response.header("connection")),
                (status, None),
                "{target} {size}"
            );
        }
    }
}

#[tokio::test]
async fn an_upload_that_waits_for_our_word_is_refused_without_it_and_whatever_comes_still_is_no_request() {
    let gateway = gateway();
    let hidden = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    for (target, status) in [
        ("/nowhere", 404),
        ("/hello", 200),
        ("/torments?do=drip&n=3", 200),
    ] {
        for framing in [
            format!("content-length: {}", hidden.len()),
            format!("content-length: {UPLOAD}"),
            "transfer-encoding: chunked".to_owned(),
        ] {
            let mut connection = gateway.raw().await;
            connection
                .send(format!(
                    "POST {target} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n{framing}\r\n\r\n"
                ))
                .await;
            let response = connection.response().await;
            // Also where the guest may still ask for the body: our word was its answer.
            assert_eq!(
                (response.status(), response.header("connection")),
                (status, Some("close")),
                "{target}, {framing}: {response:?}"
            );
            connection.send(hidden).await;
            connection.send("0\r\n\r\n").await;
            assert_eq!(connection.rest().await, "", "{target}, {framing}");
        }
    }
    // Where the body is wanted, the word is given.
    let mut connection = gateway.raw().await;
    connection
        .send("POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        .await;
    assert!(connection.head().await.starts_with("HTTP/1.1 100"));
    connection.send("abc").await;
    let response = connection.response().await;
    assert_eq!((response.status(), response.body.as_str()), (200, "3"));
    assert_eq!(response.header("connection"), None);
}

#[tokio::test]
async fn a_guest_that_reads_while_it_answers_keeps_its_connection() {
    let gateway = TestGateway::builder().guest("echo").start();
    let mut connection = gateway.raw().await;
    for _ in 0..2 {
        connection
            .send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .await;
        let head = connection.head().await;
        assert!(!head.contains("connection: close"), "{head}");
        connection.send("3\r\ndef\r\n0\r\n\r\n").await;
        assert_eq!(connection.chunked_body().await, "abcdef");
    }
}

#[tokio::test]
async fn over_http2_a_client_that_sends_on_for_long_is_told_to_stop_without_an_error() {
    let gateway = gateway();
    let stream = tokio::net::TcpStream::connect(gateway.address)
        .await
        .unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = within("the connection", client.ready()).await.unwrap();
    let uri = format!("http://{}/nowhere", gateway.address);
    let request = http::Request::post(&uri).body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    let response = within("a response", response).await.unwrap();
    assert_eq!(response.status(), 404);
    let chunk = Bytes::from(vec![b'x'; 1 << 16]);
    let told = within("a word to stop", async {
        loop {
            body.reserve_capacity(chunk.len());
            match std::future::poll_fn(|cx| body.poll_capacity(cx)).await {
                Some(Ok(room))
                    if body
                        .send_data(chunk.slice(..room.min(chunk.len())), false)
                        .is_ok() => {}
                _ => break std::future::poll_fn(|cx| body.poll_reset(cx)).await,
            }
        }
    });
    assert_eq!(told.await.unwrap(), h2::Reason::NO_ERROR);
    let request = http::Request::get(&uri).body(()).unwrap();
    let mut client = within("the connection", client.ready()).await.unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    assert_eq!(within("a response", response).await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_connection_goes_on_after_a_small_body_that_nobody_read() {
    let gateway = gateway();
    let mut connection = gateway.http1().await;
    for target in ["/hello", "/nowhere", "/hello"] {
        within("the connection", connection.ready()).await.unwrap();
        let body = crate::harness::full(vec![0; 100_000]);
        let request = gateway.request("POST", target).body(body).unwrap();
        let response = within("a response", connection.send_request(request)).await;
        Reply::of(response.unwrap()).await.unwrap();
    }
    within("the connection", connection.ready()).await.unwrap();
    let request = gateway.request("GET", "/hello").body(empty()).unwrap();
    let response = within("a response", connection.send_request(request)).await;
    assert_eq!(
        Reply::of(response.unwrap()).await.unwrap().text(),
        "Hello from a package\n"
    );
}

#[tokio::test]
async fn over_http2_the_stream_is_answered_and_the_connection_goes_on() {
    let gateway = gateway();
    let mut connection = gateway.http2().await;
    for (target, status) in [
        ("/reads-the-whole-body", 413),
        ("/nowhere", 404),
        ("/hello", 200),
    ] {
        for _ in 0..TRIES {
            let (sender, body) = channel();
            let pump = tokio::spawn(async move {
                let chunk = Bytes::from(vec![b'x'; 1 << 16]);
                for _ in 0..UPLOAD / chunk.len() {
                    if sender.send(Frame::data(chunk.clone())).await.is_err() {
                        return;
                    }
                }
            });
            let uri = format!("http://{}{target}", gateway.address);
            let request = http::Request::post(uri).body(body).unwrap();
            let response = within("a response", connection.send_request(request)).await;
            let reply = Reply::of(response.unwrap()).await.unwrap();
            assert_eq!(reply.status, status, "{target}");
            within("the pump", pump).await.unwrap();
        }
    }
    let uri = format!("http://{}/hello", gateway.address);
    let request = http::Request::get(uri).body(empty()).unwrap();
    let response = within("a response", connection.send_request(request)).await;
    assert_eq!(response.unwrap().status(), 200);
}

/// Has Node send an upload: a line for each try, the status or the error.
const NODE: &str = r#"
const http = require("http"), http2 = require("http2");
const [version, address, path, tries, bytes] = process.argv.slice(1);
const chunk = Buffer.alloc(65536, "x");
async function pump(request, alive) {
  for (let sent = 0; sent < bytes && alive(); sent += chunk.length)
    if (!request.write(chunk)) await new Promise(resolve => { request.once("drain", resolve); request.once("close", resolve); });
  request.end();
}
const once = () => new Promise(resolve => {
  let status = "none", body = "", open = true;
  const done = error => { open = false; resolve(error ? `error ${error.code} after ${status}` : `${status} ${body.length > 0}`); };
  if (version === "1") {
    const request = http.request(`http://${address}${path}`, { method: "POST", headers: { "content-length": bytes } });
    request.on("response", response => {
      status = response.statusCode;
      response.on("data", data => body += data);
      response.on("end", () => done());
    });
    request.on("error", error => { if (open) done(error); });
    request.on("close", () => { if (open) done({ code: "closed" }); });
    pump(request, () => open);
  } else {
    const session = http2.connect(`http://${address}`);
    const request = session.request({ ":method": "POST", ":path": path });
    request.on("response", headers => status = headers[":status"]);
    request.on("data", data => body += data);
    request.on("end", () => { done(); session.close(); });
    request.on("error", error => { if (open) done(error); });
    session.on("error", error => { if (open) done(error); });
    pump(request, () => open && !request.destroyed);
  }
});
(async () => { for (let n = 0; n < tries; n++) console.log(await once()); process.exit(0); })();
"#;

#[tokio::test]
async fn node_gets_its_answer_every_time() {
    let gateway = gateway();
    for version in ["1", "2"] {
        for (target, status) in [("/reads-the-whole-body", 413), ("/hello", 200)] {
            let (address, tries) = (gateway.address.to_string(), TRIES.to_string());
            let told = tokio::task::spawn_blocking(move || {
                Command::new("node")
                    .args([
                        "-e",
                        NODE,
                        version,
                        &address,
                        target,
                        &tries,
                        &UPLOAD.to_string(),
                    ])
                    .output()
            });
            let told = match within("node", told).await.unwrap() {
                Ok(told) => told,
                Err(error) => {
                    left_out(format_args!("node cannot be run ({error})"));
                    return;
                }
            };
            let lines = String::from_utf8_lossy(&told.stdout).into_owned();
            let expected = format!("{status} true\n").repeat(TRIES);
            let errors = String::from_utf8_lossy(&told.stderr);
            assert_eq!(lines, expected, "HTTP/{version} {target}: {errors}");
        }
    }
}

/// Sends all of an upload, with a length and in chunks, before it looks for an answer, as Python's own client does.
const PYTHON: &str = r#"
import http.client, sys
address, target, tries, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for _ in range(tries):
    for chunked in False, True:
        upload = iter([bytes(1 << 16)] * (size >> 16)) if chunked else bytes(size)
        connection = http.client.HTTPConnection(address, timeout=20)
        connection.request("POST", target, body=upload, encode_chunked=chunked,
                           headers={"Transfer-Encoding": "chunked"} if chunked else {})
        answer = connection.getresponse()
        answer.read()
        print(answer.status, flush=True)
        connection.close()
"#;

#[tokio::test]
async fn python_gets_its_answer_every_time() {
    let gateway = gateway();
    let (address, tries) = (gateway.address.to_string(), TRIES.to_string());
    let told = tokio::task::spawn_blocking(move || {
        Command::new("python3")
            .args([
                "-c",
                PYTHON,
                &address,
                "/missing",
                &tries,
                &UPLOAD.to_string(),
            ])
            .output()
    });
    let told = match within("python3", told).await.unwrap() {
        Ok(told) => told,
        Err(error) => {
            left_out(format_args!("python3 cannot be run ({error})"));
            return;
        }
    };
    let errors = String::from_utf8_lossy(&told.stderr);
    let lines = String::from_utf8_lossy(&told.stdout);
    assert_eq!(lines, "404\n".repeat(2 * TRIES), "{errors}");
}
