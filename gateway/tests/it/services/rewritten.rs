//! The lengths of bodies that a middleware passes on, keeps or writes anew.

use bytes::Bytes;
use http::{Request, request};
use http_body::Frame;

use crate::harness::{Body, Builder, Reply, TestGateway, channel, eventually, full, guest, middleware, within};

fn before(behind: &str, lines: &str) -> Builder {
    TestGateway::builder()
        .server("workers = 1")
        .package("front", &middleware(), "next = \"behind\"")
        .package("behind", &guest(behind), lines)
        .route_with("/front/{*rest}", "front", "strip_prefix = \"/front\"")
}

fn asking(gateway: &TestGateway, path: &str, asked: &[(&str, &str)]) -> request::Builder {
    let request = gateway.request("POST", path);
    asked.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    })
}

/// Asks with what a middleware is to do, each a field and its value.
async fn ask(gateway: &TestGateway, path: &str, asked: &[(&str, &str)], body: Body) -> Reply {
    let request = asking(gateway, path, asked);
    within("an answer", gateway.send(request.body(body).unwrap())).await
}

#[tokio::test]
async fn a_length_that_came_with_another_body_is_dropped_on_the_way_there_and_back() {
    for longer in ["0", "3", "100000"] {
        let gateway = before("p3_torments", "").start();
        let more: usize = longer.parse().unwrap();
        let asked = [("x-test-longer", longer)];
        let reply = ask(&gateway, "/front/length", &asked, full("abc")).await;
        let told = format!("{} whole", 3 + more);
        assert_eq!(reply.status, 200, "{longer}: {}", reply.text());
        let text = reply.text();
        assert_eq!(text.trim_end_matches('!'), told, "{longer}");
        assert_eq!(text.len(), told.len() + more, "{longer}");
        let reply = ask(&gateway, "/front/request", &asked, full("abc")).await;
        assert!(!reply.text().contains("content-length"), "{}", reply.text());
    }
}

#[tokio::test]
async fn packages_of_other_kinds_behind_it_read_all_of_a_body_that_was_written_anew() {
    let gateway = before("echo", "").start();
    let asked = [("x-test-longer", "2")];
    let reply = ask(&gateway, "/front/echo", &asked, full("abc")).await;
    assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "abc!!!!"));
    let mut connection = gateway.http2().await;
    let request = Request::post(format!("http://{}/front/echo", gateway.address));
    let request = request.header("x-test-longer", "2").body(full("abc"));
    let response = connection.send_request(request.unwrap());
    let response = within("an answer", response).await.unwrap();
    let reply = Reply::of(response).await.unwrap();
    assert_eq!(reply.text(), "abc!!!!");
}

#[tokio::test]
async fn a_body_that_is_passed_on_as_it_came_keeps_its_length() {
    let gateway = before("p3_torments", "").start();
    let body = vec![b'x'; 3 << 20];
    // It has none where a busy machine lets others go first before the guest has come to its end.
    let reply = eventually(
        "an answer with its length",
        async || ask(&gateway, "/front/request", &[], full(body.clone())).await,
        |reply| reply.header("content-length").is_some(),
    )
    .await;
    let text = reply.text();
    assert!(text.contains("content-length: 3145728\n"), "{text}");
    assert_eq!(
        reply.header("content-length"),
        Some(&*text.len().to_string())
    );
    let (sender, body) = channel();
    sender.send(Frame::data(Bytes::from("abc"))).await.unwrap();
    drop(sender);
    let reply = ask(&gateway, "/front/request", &[], body).await;
    assert!(!reply.text().contains("content-length"), "{}", reply.text());
}

#[tokio::test]
async fn a_length_that_the_middleware_sets_goes_with_its_body() {
    let gateway = before("p3_torments", "").start();
    let asked = [("x-test-longer", "2"), ("x-test-length", "5")];
    let reply = ask(&gateway, "/front/request", &asked, full("abc")).await;
    assert!(
        reply.text().contains("content-length: 5\n"),
        "{}",
        reply.text()
    );
    let reply = ask(&gateway, "/front/length", &asked, full("abc")).await;
    assert_eq!(reply.text(), "5 whole!!");
    let asked = [("x-test-longer", "2"), ("x-test-answer-length", "9")];
    let reply = ask(&gateway, "/front/length", &asked, full("abc")).await;
    assert_eq!(reply.text(), "5 whole!!");
}

#[tokio::test]
async fn a_wrong_length_that_the_middleware_sets_is_told_by_its_name() {
    let gateway = before("p3_torments", "").start();
    for length in ["4", "6", "900000"] {
        let asked = [("x-test-longer", "2"), ("x-test-length", length)];
        let reply = ask(&gateway, "/front/length", &asked, full("abc")).await;
        reply.assert_error(502, "guest-no-response");
        let told = "the middleware's request to `next` is not as long as its content-length says";
        let fields = [("package", "front"), ("message", told)];
        gateway.wait_for_event(&fields).await;
        let asked = [("x-test-longer", "2"), ("x-test-answer-length", length)];
        let request = asking(&gateway, "/front/length", &asked);
        let event = gateway
            .assert_is_failed_or_cut(request, full("abc"), "guest-bad-response")
            .await;
        assert_eq!(event.field("package"), Some("front"));
    }
}
