//! A sidecar's callbacks on the app port: to the packages it is for, for nobody else, and not in public.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use wasmgate_real_dapr::Place;

use crate::{
    dapr_sidecar::{SIDECAR, beside, sidecar},
    harness::{Reply, Signal, TestGateway, full, send_to, until},
};

const TOKEN: &str = "the-token-of-the-app";

/// A gateway with two subscribers of one topic, and what a sidecar calls it by.
struct Called {
    gateway: TestGateway,
    port: SocketAddr,
    _sidecar: TestGateway,
}

impl Called {
    async fn start() -> Self {
        let place = Place::new();
        let address = place.at(SIDECAR);
        let sidecar = sidecar(address).start();
        let takes = |route: &str| {
            format!(
                r#"env = {{ SUBSCRIPTIONS = '[{{"pubsubname":"pubsub","topic":"orders","route":"{route}"}}]' }}
                   dapr = {{ state = ["statestore"], subscribe = ["pubsub/*"] }}"#
            )
        };
        let gateway = beside(address)
            .environment("APP_API_TOKEN", TOKEN)
            .guest_as("a", "takes_deliveries", &takes("/events/of-a"))
            .guest_as("b", "takes_deliveries", &takes("/events/of-b"))
            .route("/{*rest}", "a")
            .guest("reports_its_request")
            .start();
        gateway.ready().await;
        let port = gateway.dapr_address().await;
        Self {
            gateway,
            port,
            _sidecar: sidecar,
        }
    }

    /// A call on the app port, as the sidecar makes it.
    async fn back(&self, method: &str, path: &str, kind: &str, body: String) -> Reply {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("host", "app")
            .header("dapr-api-token", TOKEN)
            .header("content-type", kind);
        send_to(self.port, request.body(full(body)).unwrap()).await
    }
}

#[tokio::test]
async fn the_sidecar_is_told_each_topic_once_and_its_events_reach_every_subscriber() {
    let called = Called::start().await;
    let list = called
        .back("GET", "/dapr/subscribe", "", String::new())
        .await;
    let list = list.is(200).json();
    let [topic] = list.as_array().unwrap().as_slice() else {
        panic!("not one topic: {list}");
    };
    assert_eq!(
        (&topic["pubsubname"], &topic["topic"]),
        (&json!("pubsub"), &json!("orders"))
    );
    let event = json!({"id": "e", "specversion": "1.0", "type": "t", "source": "s",
        "pubsubname": "pubsub", "topic": "orders", "data": 1});
    let route = topic["route"].as_str().unwrap();
    let kind = "application/cloudevents+json";
    let taken = called.back("POST", route, kind, event.to_string()).await;
    assert_eq!(taken.is(200).json(), json!({"status": "SUCCESS"}));
    for (package, path) in [("a", "/events/of-a"), ("b", "/events/of-b")] {
        let kept = called.gateway.delivered(package, "e").await.unwrap();
        assert_eq!(kept["path"], path);
        assert!(!kept.to_string().contains(TOKEN), "{kept}");
    }
}

#[tokio::test]
async fn jobs_bindings_and_configuration_reach_their_packages() {
    let called = Called::start().await;
    let back = async |method, path, body: &str| {
        let kind = "application/json";
        called
            .back(method, path, kind, body.to_owned())
            .await
            .status
            .as_u16()
    };
    assert_eq!(back("GET", "/dapr/config", "").await, 200);
    // As the job's name is with the sidecar: the length of the app-id, the app-id, the name.
    assert_eq!(back("POST", "/job/1-b-refund", "1").await, 200);
    let kept = called.gateway.delivered("b", "/job/refund").await;
    assert_eq!(kept.unwrap()["body"], "1");
    assert!(called.gateway.delivered("a", "/job/refund").await.is_none());
    // A 404 would lose it.
    assert_eq!(back("POST", "/job/nobodys", "1").await, 503);

    assert_eq!(back("OPTIONS", "/tick", "").await, 200);
    assert_eq!(back("POST", "/tick", "2").await, 200);
    for package in ["a", "b"] {
        let kept = called.gateway.delivered(package, "/tick").await;
        assert_eq!(kept.unwrap()["body"], "2", "{package}");
    }
    // From now on it is known for a binding's path.
    called
        .gateway
        .get("/tick")
        .await
        .assert_error(404, "no-route");
}

#[tokio::test]
async fn a_callback_without_the_apps_token_is_refused() {
    let called = Called::start().await;
    for token in [None, Some(""), Some("wrong")] {
        for (method, path) in [
            ("GET", "/dapr/subscribe"),
            ("POST", "/wasmgate-events/pubsub/orders"),
            ("POST", "/job/1-a-x"),
            ("POST", "/tick"),
            ("GET", "/any/path"),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "app");
            let request = match token {
                Some(token) => request.header("dapr-api-token", token),
                None => request,
            };
            let reply = send_to(called.port, request.body(full("{}")).unwrap()).await;
            assert_eq!(reply.status, 401, "{method} {path} with {token:?}");
        }
    }
    let health = Request::get("/healthz").header("host", "app");
    assert_eq!(
        send_to(called.port, health.body(full("")).unwrap())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn what_the_sidecar_may_call_is_not_public() {
    let called = Called::start().await;
    let gateway = &called.gateway;
    assert_eq!(gateway.get("/any/path").await.status, 200);
    for path in [
        "/dapr/subscribe",
        "/dapr/config",
        "/events/of-a",
        "//events/of-a/",
        "/events%2Fof-a",
        "/job/1-a-refund",
        "/job/refund",
        "/configuration/configstore/k",
    ] {
        let request = gateway
            .request("POST", path)
            .header("dapr-api-token", TOKEN)
            .header("content-type", "application/cloudevents+json");
        let reply = gateway.send(request.body(full("{}")).unwrap()).await;
        reply.assert_error(404, "no-route");
    }
    assert!(gateway.delivered("a", "/events/of-a").await.is_none());
}

#[tokio::test]
async fn another_apps_invocation_comes_in_by_the_routes() {
    let called = Called::start().await;
    let request = async |path: &str| {
        let request = Request::get(path)
            .header("host", "app")
            .header("dapr-api-token", TOKEN)
            .header("dapr-caller-app-id", "other");
        send_to(called.port, request.body(full("")).unwrap()).await
    };
    assert_eq!(request("/any/path").await.status, 200);
    assert!(called.gateway.delivered("a", "/any/path").await.is_some());
    let report = request("/reports-its-request").await.text();
    assert!(
        report.contains("header dapr-caller-app-id: other\n"),
        "{report}"
    );
    assert!(!report.contains(TOKEN), "{report}");
    for path in ["/dapr/subscribe", "/events/of-a", "/job/1-a-x"] {
        assert_eq!(request(path).await.status, 404, "{path}");
    }
}

/// A sidecar that has subscribed for its app and says that it checks it so often, and after so many failures in a row
/// holds it for gone; the test makes the checks.
async fn checking(interval: &str, threshold: u32) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metadata = json!({
        "id": "app", "subscriptions": [{"pubsubname": "pubsub", "topic": "orders", "rules": []}],
        "appConnectionProperties": {"port": 3001, "health": {
            "healthCheckPath": "/healthz", "healthProbeInterval": interval, "healthThreshold": threshold,
        }},
    });
    let metadata = metadata.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let metadata = metadata.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let (status, body) = match request.uri().path() {
                    "/v1.0/metadata" => (200, metadata.clone()),
                    // Healthy, and state is kept.
                    _ => (204, String::new()),
                };
                let response = Response::builder()
                    .status(status)
                    .body(Full::<Bytes>::from(body));
                std::future::ready(response)
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

fn subscriber(sidecar: SocketAddr) -> TestGateway {
    let subscribes = r#"env = { SUBSCRIPTIONS = '[{"pubsubname":"pubsub","topic":"orders","route":"/events"}]' }
        dapr = { state = ["statestore"], subscribe = ["pubsub/*"] }"#;
    let gateway = beside(sidecar).guest_as("a", "takes_deliveries", subscribes);
    gateway.environment("APP_API_TOKEN", TOKEN).start()
}

#[tokio::test]
async fn a_sidecar_sees_the_end_first_and_its_deliveries_are_taken_until_it_has() {
    let mut gateway = subscriber(checking("60s", 3).await);
    gateway.ready().await;
    let port = gateway.dapr_address().await;
    let ask = async |method: &str, path: &str, body: String| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "app");
        let request = request
            .header("dapr-api-token", TOKEN)
            .header("content-type", "application/cloudevents+json");
        send_to(port, request.body(full(body)).unwrap()).await
    };
    let check = async || ask("GET", "/healthz", String::new()).await.status.as_u16();
    assert_eq!(check().await, 200);
    gateway.signal(Signal::Terminate);
    until("a public listener that is closed", || async {
        TcpStream::connect(gateway.address).await.is_err()
    })
    .await;
    let event = |id: &str| {
        json!({"id": id, "specversion": "1.0", "type": "t", "source": "s",
        "pubsubname": "pubsub", "topic": "orders", "data": 1})
    };
    for number in 0..2 {
        assert_eq!(check().await, 503, "check {number}");
        let taken = ask(
            "POST",
            "/wasmgate-events/pubsub/orders",
            event(&format!("e{number}")).to_string(),
        )
        .await;
        assert_eq!(
            taken.is(200).json(),
            json!({"status": "SUCCESS"}),
            "delivery {number}"
        );
    }
    assert_eq!(gateway.admin_get("/readyz").await.status, 503);
    assert_eq!(check().await, 503);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_sidecar_that_does_not_ask_any_more_is_not_waited_for_long() {
    let mut gateway = subscriber(checking("1ms", 1).await);
    gateway.ready().await;
    gateway.signal(Signal::Terminate);
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert!(
        gateway.log().contains("has not asked often enough"),
        "{}",
        gateway.log()
    );
}
