//! Packages of one source, built with the SDK for WASI 0.2 and for 0.3: nobody outside can tell which is which.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::{
    coffee_shop::shop::{FULFILLED, Shop, end_of, order, place},
    harness::{
        TestGateway, channel, empty, eventually, example_packages, full, guest, guest_of_wasip3, is_broken,
        packages_of_wasip3, within,
    },
};

/// Both builds of a guest at `/two/...` and `/three/...`, which may call an origin.
fn both(limits: &str, outbound: &str) -> TestGateway {
    let lines = format!("outbound = [{outbound:?}]");
    TestGateway::builder()
        .limits(limits)
        .package("two", &guest("uses_the_sdk"), &lines)
        .package("three", &guest_of_wasip3("uses_the_sdk"), &lines)
        .route_with("/two/{*rest}", "two", "strip_prefix = \"/two\"")
        .route_with("/three/{*rest}", "three", "strip_prefix = \"/three\"")
        .start()
}

const NOWHERE: &str = "http://127.0.0.1:1";

/// Returns whether an answer is a good one that came to its end.
async fn is_whole(response: hyper::Result<Response<Incoming>>) -> bool {
    response
        .as_ref()
        .is_ok_and(|response| response.status() == 200)
        && !is_broken(response).await
}

#[tokio::test]
async fn hello_and_products_answer_alike() {
    let mut gateway = TestGateway::builder();
    for (world, folder) in [("two", example_packages()), ("three", packages_of_wasip3())] {
        for (name, file) in [("hello", "hello.wasm"), ("products", "product_api.wasm")] {
            let (name, path) = (format!("{name}-{world}"), format!("/{name}/{world}"));
            gateway = gateway.package(&name, &folder.join(file), "").route_with(
                &format!("{path}/{{*rest}}"),
                &name,
                &format!("strip_prefix = {path:?}"),
            );
        }
    }
    let gateway = gateway.start();
    for path in [
        "/hello/W/hello",
        "/hello/W/nothing",
        "/products/W/v1-get-item-types",
        "/products/W/v1-get-items-by-types?types=1,5",
        "/products/W/v1-get-items-by-types?types=42",
    ] {
        let [two, three] = ["two", "three"].map(|world| path.replace('W', world));
        // One of them has no length where a busy machine lets others go first before the guest has come to its end.
        let (two, three) = eventually(
            "both with a length or both without",
            async || (gateway.get(&two).await, gateway.get(&three).await),
            |(two, three)| two.header("content-length") == three.header("content-length"),
        )
        .await;
        assert_eq!(two.status, three.status, "{path}");
        assert_eq!(two.text(), three.text(), "{path}");
        for name in ["content-type", "content-length", "allow"] {
            assert_eq!(two.header(name), three.header(name), "{path}: {name}");
        }
    }
    let body = "{\"types\":\"1,5\"}";
    let request = gateway.request("GET", "/products/three/v1-get-items-by-types");
    let reply = gateway.send(request.body(full(body)).unwrap()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = gateway.admin_get("/packages").await.text();
    for world in ["wasi:http/proxy@0.2", "wasi:http/service@0.3"] {
        assert_eq!(told.matches(world).count(), 2, "{told}");
    }
}

#[tokio::test]
async fn the_whole_shop_serves_an_order_with_packages_of_wasip3() {
    let shop = Shop::new("10m").of_wasip3();
    let gateway = shop.open();
    let id = place(&gateway, &order(&[5, 0], &[8])).await;
    assert_eq!(end_of(&gateway, &id).await, FULFILLED);
    let told = gateway.admin_get("/packages").await.text();
    assert!(!told.contains("wasi:http/proxy@0.2"), "{told}");
}

#[tokio::test]
async fn heads_and_whole_bodies_are_alike() {
    let gateway = both("", NOWHERE);
    let big = vec![b'x'; 3 << 20];
    for (method, path, body) in [
        ("GET", "request?a=b", &b""[..]),
        ("PATCH", "request", b"unread"),
        ("HEAD", "request", b""),
        ("POST", "length", b""),
        ("POST", "length", b"abc"),
        ("POST", "length", &big),
        ("POST", "echo", b""),
        ("POST", "echo", &big),
        ("GET", "status/204", b""),
        ("GET", "status/418", b""),
        ("GET", "status/99", b""),
        ("HEAD", "count?n=3", b""),
        ("GET", "count?n=0", b""),
        ("GET", "count?n=3", b""),
        ("GET", "print", b""),
        ("GET", "fetch?url=http://192.0.2.1/", b""),
        ("DELETE", "nothing", b""),
    ] {
        let ask = async |world: &str| {
            let request = gateway
                .request(method, &format!("/{world}/{path}"))
                .header("x-test", "value");
            let request = request.body(full(body.to_vec())).unwrap();
            let reply = gateway.send(request).await;
            let headers = ["content-type", "x-test", "allow", "x-wasmgate-error"];
            let headers = headers.map(|name| reply.header(name).map(str::to_owned));
            let length = reply.header("content-length").map(str::to_owned);
            let text = reply.text().replace("/three", "/two");
            (length, (reply.status, headers, text))
        };
        // As above.
        let ((_, two), (_, three)) = eventually(
            "both with a length or both without",
            async || (ask("two").await, ask("three").await),
            |((two, _), (three, _))| two == three,
        )
        .await;
        let told = format!("{two:?} {three:?}");
        assert!(two == three, "{method} {path}: {told:.2000}");
    }
    for world in ["two", "three"] {
        gateway
            .wait_for_event(&[
                ("package", world),
                ("message", "printed without a line end"),
            ])
            .await;
    }
}

#[tokio::test]
async fn bodies_pass_as_they_come_and_those_that_fail_are_cut() {
    let gateway = both("", NOWHERE);
    for world in ["two", "three"] {
        let mut connection = gateway.http2().await;
        let (sender, body) = channel();
        let request = Request::post(format!("http://{}/{world}/echo", gateway.address));
        let response = connection.send_request(request.body(body).unwrap());
        let mut body = within("a head", response).await.unwrap().into_body();
        for word in ["one", "two", "three"] {
            sender.send(Frame::data(Bytes::from(word))).await.unwrap();
            let frame = within("the word", body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), word, "{world}");
        }
        let mut tail = HeaderMap::new();
        tail.insert("x-tail", HeaderValue::from_static("wags"));
        sender.send(Frame::trailers(tail.clone())).await.unwrap();
        drop(sender);
        let frame = within("trailers", body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_trailers().unwrap(), tail, "{world}");

        let request = gateway.request("GET", &format!("/{world}/breaks"));
        let response = gateway.start_request(request.body(empty()).unwrap()).await;
        assert!(!is_whole(response).await, "{world}");
        gateway.wait_for_in_flight(world, 0).await;
    }
}

#[tokio::test]
async fn calls_outward_carry_bodies_and_trailers_both_ways() {
    let other = TestGateway::builder()
        .limits("timeout = \"20s\"")
        .guest("echo")
        .guest("dies_after_its_head")
        .guest("hangs")
        .start();
    let origin = format!("http://{}", other.address);
    let gateway = both("timeout = \"30s\"", &origin);
    let body = vec![b'x'; 1 << 20];
    for world in ["two", "three"] {
        let reply = gateway
            .post(&format!("/{world}/upload?url={origin}/echo"), body.clone())
            .await;
        assert_eq!(reply.status, 200, "{world}: {:.300}", reply.text());
        assert!(reply.body == body, "{world}: {} bytes", reply.body.len());
        let reply = gateway
            .get(&format!("/{world}/fetch?url={origin}/nothing"))
            .await;
        assert_eq!(reply.status, 404, "{world}: {}", reply.text());
        let path = format!("/{world}/fetch?url={origin}/dies-after-its-head");
        let request = gateway.request("GET", &path).body(empty()).unwrap();
        assert!(
            !is_whole(gateway.start_request(request).await).await,
            "{world}"
        );
        gateway.wait_for_in_flight(world, 0).await;
    }
}
