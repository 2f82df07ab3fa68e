//! The errors that a guest sees when the other side fails it: time-outs and errors, each in its own word, and all in
//! the log.

use std::net::SocketAddr;
use wasmgate_real_dapr::Place;

use crate::harness::{Peer, Scripted, TestGateway, eventually, full, within};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn allowed(origins: &[String]) -> TestGateway {
    TestGateway::builder()
        .server("workers = 1")
        .guest_with("calls_out", &format!("outbound = {origins:?}"))
        .start()
}

async fn call(gateway: &TestGateway, origin: &str, options: &str) -> String {
    let target = format!("/calls-out?to={origin}/{options}");
    gateway.get(&target).await.text()
}

/// Calls a scripted server once, with these options.
async fn called<F>(options: &str, script: impl Fn(Peer, usize) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let upstream = Scripted::start(script).await;
    let gateway = allowed(&[upstream.origin()]);
    call(&gateway, &upstream.origin(), options).await
}

/// A listener whose queue is full, so that the kernel answers nothing to whoever connects.
fn black_hole() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
    let tcp = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = tcp();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let fill = (0..4).map(|_| {
        let socket = tcp();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        socket
    });
    let fill = fill.collect();
    (listener, fill, address)
}

// Each server below would never go on by itself: that there is an answer at all shows that the time-out passed.

#[tokio::test]
async fn a_connection_that_takes_longer_than_connect_timeout_is_given_up() {
    let (_listener, _fill, address) = black_hole();
    let origin = format!("http://{address}");
    let gateway = allowed(std::slice::from_ref(&origin));
    for options in [
        "&connect=300",
        "&connect=300&first=60000&between=60000",
        "&connect=300&first=1",
    ] {
        let told = call(&gateway, &origin, options).await;
        assert!(told.contains("ConnectionTimeout"), "{options}: {told}");
    }
}

#[tokio::test]
async fn a_response_that_begins_later_than_first_byte_timeout_is_given_up() {
    for options in ["&first=300", "&first=300&connect=60000&between=60000"] {
        let told = called(options, |mut peer, _| async move {
            peer.head().await;
            peer.gone().await;
        });
        let told = told.await;
        assert!(told.contains("ConnectionReadTimeout"), "{options}: {told}");
    }
}

#[tokio::test]
async fn a_body_that_begins_later_than_first_byte_timeout_is_given_up() {
    let told = called("&first=2000", |mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
            .await;
        peer.gone().await;
    });
    let told = told.await;
    assert_eq!(told, "error in the body: ErrorCode::ConnectionReadTimeout");
}

#[tokio::test]
async fn a_body_that_pauses_longer_than_between_bytes_timeout_is_given_up() {
    for options in ["&between=300", "&between=300&first=60000&connect=60000"] {
        let told = called(options, |mut peer, _| async move {
            peer.head().await;
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
                .await;
            peer.gone().await;
        });
        let told = told.await;
        let cut = "oerror in the body: ErrorCode::ConnectionReadTimeout";
        assert_eq!(told, cut, "{options}");
    }
}

#[tokio::test]
async fn time_outs_that_are_kept_change_nothing() {
    let options = "&connect=60000&first=60000&between=60000";
    let told = called(options, |mut peer, _| async move {
        peer.head().await;
        peer.send(OK).await;
        peer.gone().await;
    });
    assert_eq!(told.await, "ok");
}

#[tokio::test]
async fn the_time_for_the_first_byte_begins_when_there_is_a_connection_and_ends_with_that_byte() {
    // Between bytes nothing is limited here, and the pauses are longer than the time for the first one.
    let told = called("&first=2000", |mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
            .await;
        tokio::time::sleep(std::time::Duration::from_millis(3000)).await;
        peer.send("k").await;
        peer.gone().await;
    });
    assert_eq!(told.await, "ok");
}

#[tokio::test]
async fn each_failure_of_the_other_side_has_its_own_word() {
    let closed = |bytes: &'static str| {
        move |mut peer: Peer, _| async move {
            peer.head().await;
            peer.send(bytes).await;
        }
    };
    for (bytes, word) in [
        ("", "ErrorCode::ConnectionTerminated"),
        (
            "HTTP/1.1 200 OK\r\nx-a",
            "ErrorCode::HttpResponseIncomplete",
        ),
        ("+OK ready\r\n", "ErrorCode::HttpProtocolError"),
        (
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "ErrorCode::HttpProtocolError",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: no\r\n\r\n",
            "ErrorCode::HttpProtocolError",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
            "error in the body: ErrorCode::HttpResponseIncomplete",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "error in the body: ErrorCode::HttpResponseIncomplete",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n",
            "error in the body: ErrorCode::HttpProtocolError",
        ),
    ] {
        let told = called("", closed(bytes)).await;
        assert!(told.contains(word), "{bytes:?}: {told}");
    }
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}", "x".repeat(1 << 20));
    let told = called("", move |mut peer, _| {
        let long = long.clone();
        async move {
            peer.head().await;
            peer.send(long).await;
            peer.gone().await;
        }
    });
    let told = told.await;
    assert!(told.contains("HttpResponseHeaderSectionSize"), "{told}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_a_refused_connection() {
    let place = Place::new();
    let origin = format!("http://{}", place.at(3000));
    let gateway = allowed(std::slice::from_ref(&origin));
    let told = call(&gateway, &origin, "").await;
    assert!(told.contains("ErrorCode::ConnectionRefused"), "{told}");
}

#[tokio::test]
async fn a_name_without_an_address_is_an_error_of_names() {
    // RFC 6761, 6.4: no name under `invalid` has an address.
    let origin = "http://nobody.invalid".to_owned();
    let gateway = allowed(std::slice::from_ref(&origin));
    let told = call(&gateway, &origin, "&connect=60000").await;
    assert!(told.contains("ErrorCode::DnsError"), "{told}");
}

#[tokio::test]
async fn the_log_has_the_failure_with_its_origin_and_its_request() {
    let upstream = Scripted::start(|_, _| async {}).await;
    let gateway = allowed(&[upstream.origin()]);
    let target = format!("/calls-out?to={}/", upstream.origin());
    let request = gateway.request("GET", &target);
    let request = request.header("x-request-id", "the-one");
    gateway.send(request.body(full("")).unwrap()).await;
    gateway
        .wait_for_event(&[
            ("package", "calls-out"),
            ("request_id", "the-one"),
            ("origin", &upstream.origin()),
            ("error", "connection-terminated"),
        ])
        .await;
}

#[tokio::test]
async fn an_upstream_of_endless_interim_responses_is_given_up_and_keeps_no_worker() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1000);
    let upstream = Scripted::start(move |mut peer, _| {
        let interim = interim.clone();
        async move {
            peer.head().await;
            for _ in 0..10_000 {
                peer.send(&interim).await;
            }
        }
    });
    let upstream = upstream.await;
    let gateway = allowed(&[upstream.origin()]);
    let told = call(&gateway, &upstream.origin(), "").await;
    assert!(told.contains("ErrorCode::HttpProtocolError"), "{told}");
}

#[tokio::test]
async fn a_body_without_an_end_that_nobody_reads_leaves_the_worker_to_others() {
    let upstream = Scripted::start(|mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        let chunks = "1\r\nx\r\n".repeat(10_000);
        while peer.try_send(&chunks).await {}
    });
    let upstream = upstream.await;
    let lines = format!(
        "outbound = [\"{}\"]\nlimits = {{ timeout = \"10s\" }}",
        upstream.origin()
    );
    let gateway = TestGateway::builder()
        .server("workers = 1")
        .guest_with("waits_for_trailers", &lines)
        .guest("hello")
        .start();
    let target = format!("/waits-for-trailers?to={}", upstream.origin());
    let waiting = gateway.get(&target);
    let beside = async {
        gateway.wait_for_in_flight("waits-for-trailers", 1).await;
        let mut answered = 0;
        while gateway.metrics().await.sum(
            "wasmgate_instances_in_flight",
            &[("package", "waits-for-trailers")],
        ) > 0.0
        {
            assert_eq!(gateway.get("/hello").await.status, 200);
            answered += 1;
        }
        answered
    };
    let (reply, answered) = tokio::join!(waiting, beside);
    assert_eq!(reply.status, 504);
    assert!(answered > 10, "{answered} answers beside it in ten seconds");
}

#[tokio::test]
async fn a_few_interim_responses_are_passed_over() {
    let told = called("", |mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(5))
            .await;
        peer.send(OK).await;
        peer.gone().await;
    });
    assert_eq!(told.await, "ok");
}

/// A server that answers the first request of its first connection and closes that at the second; other connections
/// are answered. Heads of all requests go to the channel.
async fn closes_a_reused_connection() -> (Scripted, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (seen, heads) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Scripted::start(move |mut peer, number| {
        let seen = seen.clone();
        async move {
            let mut answered = 0;
            loop {
                let head = peer.head().await;
                if head.is_empty() || seen.send(head).is_err() {
                    return;
                }
                if number == 0 && answered == 1 {
                    return;
                }
                peer.send(OK).await;
                answered += 1;
            }
        }
    });
    (upstream.await, heads)
}

#[tokio::test]
async fn a_request_that_may_be_repeated_survives_a_connection_closed_when_it_was_reused() {
    let (upstream, mut heads) = closes_a_reused_connection().await;
    let gateway = allowed(&[upstream.origin()]);
    for _ in 0..2 {
        assert_eq!(call(&gateway, &upstream.origin(), "").await, "ok");
    }
    assert_eq!(upstream.connections(), 2);
    for _ in 0..3 {
        let head = within("a request", heads.recv()).await.unwrap();
        assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
    }
}

#[tokio::test]
async fn a_request_that_may_not_be_repeated_is_sent_once() {
    let (upstream, mut heads) = closes_a_reused_connection().await;
    let gateway = allowed(&[upstream.origin()]);
    assert_eq!(call(&gateway, &upstream.origin(), "").await, "ok");
    let target = format!("/calls-out?to={}/", upstream.origin());
    let request = gateway.request("POST", &target).body(full("pay")).unwrap();
    let told = gateway.send(request).await.text();
    assert!(told.contains("ErrorCode::ConnectionTerminated"), "{told}");
    within("the first", heads.recv()).await.unwrap();
    within("the second", heads.recv()).await.unwrap();
    assert!(heads.try_recv().is_err(), "it was sent again");
}

#[tokio::test]
async fn a_connection_closed_while_it_was_idle_costs_no_request() {
    let upstream = Scripted::start(|mut peer, _| async move {
        if !peer.head().await.is_empty() {
            peer.send(OK).await;
        }
    });
    let upstream = upstream.await;
    let gateway = allowed(&[upstream.origin()]);
    for method in ["GET", "POST", "GET", "POST", "PATCH"] {
        let target = format!("/calls-out?to={}/", upstream.origin());
        let request = gateway.request(method, &target).body(full("")).unwrap();
        assert_eq!(gateway.send(request).await.text(), "ok", "{method}");
    }
}

#[tokio::test]
async fn a_request_that_could_have_a_body_and_has_none_says_so() {
    // One request for each connection: it reads no body, and would take the end of one for the next head.
    let upstream = Scripted::start(|mut peer, _| async move {
        let head = peer.head().await.to_ascii_lowercase();
        let answer = head.replace("\r\n", "\n");
        let length = answer.len();
        peer.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
        ))
        .await;
        peer.gone().await;
    });
    let upstream = upstream.await;
    let gateway = allowed(&[upstream.origin()]);
    for taken in ["", "&bodyless=1"] {
        for (method, says) in [
            ("POST", true),
            ("PUT", true),
            ("PATCH", true),
            ("DELETE", false),
            ("GET", false),
        ] {
            let target = format!("/calls-out?to={}/{taken}", upstream.origin());
            let ask = async || {
                let request = gateway.request(method, &target).body(full("")).unwrap();
                gateway.send(request).await.text()
            };
            // A busy machine may let others go first before the body has ended.
            let head = eventually("a length", ask, |head| !head.contains("transfer-encoding")).await;
            let length = head.contains("\ncontent-length: 0\n");
            let begin = format!("{} /", method.to_ascii_lowercase());
            assert!(head.starts_with(&begin), "{method}{taken}: {head}");
            assert_eq!(length, says, "{method}{taken}: {head}");
        }
    }
}

#[tokio::test]
async fn a_tunnel_is_not_let_out() {
    let upstream = Scripted::start(|mut peer, _| async move { peer.gone().await }).await;
    let gateway = allowed(&[upstream.origin()]);
    let told = call(&gateway, &upstream.origin(), "&method=CONNECT").await;
    assert!(told.contains("ErrorCode::HttpRequestDenied"), "{told}");
    assert_eq!(upstream.connections(), 0);
}
