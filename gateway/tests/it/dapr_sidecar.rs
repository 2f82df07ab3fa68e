//! Beside a sidecar: the same calls through it, whenever it comes and however it behaves.
//!
//! The sidecar is a second gateway that serves its embedded building blocks over TCP.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use wasmgate_real_dapr::Place;

use crate::{
    dapr_blocks::SUBSCRIBES,
    dapr_state::state_scenario,
    harness::{Builder, TestGateway, until},
};

/// The port of a sidecar, as everywhere; the address is the test's own.
pub(crate) const SIDECAR: u16 = 3500;

/// The sidecar, with a subscriber of its own.
pub(crate) fn sidecar(address: SocketAddr) -> Builder {
    TestGateway::builder()
        .dapr(&format!("listen = \"{address}\""))
        .guest_as("elsewhere", "takes_deliveries", SUBSCRIBES)
}

/// A gateway beside a sidecar.
pub(crate) fn beside(address: SocketAddr) -> Builder {
    TestGateway::builder()
        .dapr(&format!(
            "mode = \"sidecar\"\nsidecar = \"http://{address}\"\nlisten = \"127.0.0.1:0\""
        ))
        .guest_as(
            "shop",
            "calls_dapr",
            r#"dapr = { state = ["statestore"], publish = ["pubsub/*"], lock = ["lockstore"], invoke = ["*"], jobs = true }"#,
        )
}

#[tokio::test]
async fn state_through_a_sidecar_is_as_embedded() {
    let place = Place::new();
    let address = place.at(SIDECAR);
    let _sidecar = sidecar(address).start();
    let gateway = beside(address).start();
    gateway.ready().await;
    state_scenario(&gateway, "shop").await;
}

#[tokio::test]
async fn packages_behind_one_sidecar_do_not_see_each_others_state_and_locks() {
    let place = Place::new();
    let address = place.at(SIDECAR);
    let _sidecar = sidecar(address).start();
    let gateway = beside(address)
        .guest_as(
            "other",
            "calls_dapr",
            r#"dapr = { state = ["*"], lock = ["*"] }"#,
        )
        .start();
    gateway.ready().await;
    let item = r#"[{"key":"k","value":1}]"#;
    gateway
        .call("shop", "POST", "/v1.0/state/statestore", item)
        .await
        .is(204);
    gateway
        .call("other", "GET", "/v1.0/state/statestore/k", "")
        .await
        .is(204);
    let claim = r#"{"resourceId":"till","lockOwner":"me","expiryInSeconds":60}"#;
    for (package, free) in [("shop", true), ("other", true), ("shop", false)] {
        let path = "/v1.0-alpha1/lock/lockstore";
        let claimed = gateway.call(package, "POST", path, claim).await.is(200);
        assert_eq!(claimed.json(), json!({ "success": free }), "{package}");
    }
}

#[tokio::test]
async fn an_event_published_through_the_sidecar_reaches_its_subscribers() {
    let place = Place::new();
    let address = place.at(SIDECAR);
    let sidecar = sidecar(address).start();
    sidecar.ready().await;
    let gateway = beside(address).start();
    gateway.ready().await;
    let path = "/v1.0/publish/pubsub/orders?metadata.cloudevent.id=e";
    let trace = [(
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )];
    gateway
        .call_with("shop", "POST", path, &trace, "x")
        .await
        .is(204);
    let kept = sidecar.delivery("elsewhere", "e").await;
    let event: Value = serde_json::from_str(kept["body"].as_str().unwrap()).unwrap();
    assert_eq!(event["source"], "shop");
    let trace = event["traceparent"].as_str().unwrap();
    assert!(
        trace.contains("0af7651916cd43dd8448eb211c80319c"),
        "{event}"
    );
}

#[tokio::test]
async fn a_package_without_a_dapr_table_is_invoked_in_process_and_not_asked_for_anything_else() {
    let place = Place::new();
    let address = place.at(SIDECAR);
    let _sidecar = sidecar(address).start();
    for (builder, place) in [
        (beside(address), "beside a sidecar"),
        (
            TestGateway::builder().guest_as("shop", "calls_dapr", r#"dapr = { invoke = ["menu"] }"#),
            "embedded",
        ),
    ] {
        let gateway = builder.guest_as("menu", "reports_its_request", "").start();
        gateway.ready().await;
        let invoked = gateway
            .call("shop", "GET", "/v1.0/invoke/menu/method/today?a=1", "")
            .await;
        assert_eq!(invoked.status, 200, "{place}: {}", invoked.text());
        assert!(invoked.text().contains("/today?a=1"), "{}", invoked.text());
        let instances = "wasmgate_instantiation_seconds_count";
        let made = gateway
            .metrics()
            .await
            .sum(instances, &[("package", "menu")]);
        assert_eq!(made, 1.0, "{place}");
    }
}

#[tokio::test]
async fn a_grant_is_asked_for_beside_a_sidecar_too() {
    let place = Place::new();
    let gateway = beside(place.at(SIDECAR)).start();
    let denied = gateway
        .call("shop", "GET", "/v1.0/secrets/secretstore/k", "")
        .await;
    assert_eq!(denied.status, 403);
    assert_eq!(denied.json()["grant"], "secrets = [\"secretstore/k\"]");
}

#[tokio::test]
async fn a_sidecar_that_is_late_or_restarts_is_waited_for() {
    const KEY: &str = "/v1.0/state/statestore/k";
    let place = Place::new();
    let address = place.at(SIDECAR);
    let gateway = beside(address).start();
    let not_there = async |status: u16| {
        until("a gateway that says so", || async {
            let told = gateway.admin_get("/readyz").await;
            told.status == status && told.text().contains("sidecar-missing")
        })
        .await;
        let refused = gateway.call("shop", "GET", KEY, "").await;
        refused.fails(503, "ERR_SIDECAR_UNAVAILABLE");
        assert!(refused.header("retry-after").is_some());
    };
    not_there(503).await;

    let folder = TempDir::new().unwrap();
    let mut there = sidecar(address).start_in(folder.path());
    gateway.ready().await;
    let item = r#"[{"key":"k","value":7}]"#;
    gateway
        .call("shop", "POST", "/v1.0/state/statestore", item)
        .await
        .is(204);

    // A sidecar that is lost takes nothing out of service that does not need it.
    there.kill();
    not_there(200).await;
    let _there = sidecar(address).start_in(folder.path());
    gateway.ready().await;
    assert_eq!(gateway.call("shop", "GET", KEY, "").await.json(), 7);
}

/// A sidecar that answers everything with these bytes and closes, or never answers.
async fn scripted(reply: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = connection.read(&mut [0; 4096]).await;
                match reply {
                    Some(reply) => connection.write_all(reply.as_bytes()).await,
                    None => std::future::pending().await,
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_sidecar_that_answers_500_is_heard_and_not_taken_for_ready() {
    let reply = "HTTP/1.1 500 Oops\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    let gateway = beside(scripted(Some(reply)).await).start();
    let answer = gateway
        .call("shop", "GET", "/v1.0/state/statestore/k", "")
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (500, "no")
    );
    assert_eq!(gateway.admin_get("/readyz").await.status, 503);
}

#[tokio::test]
async fn a_sidecar_that_is_not_there_is_looked_for_again_and_again_in_silence() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        // As nobody does: it closes what it accepts.
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let gateway = beside(address).start();
    until("two score of questions", || async {
        asked.load(Ordering::Relaxed) >= 40
    })
    .await;
    let log = gateway.log();
    let warnings: Vec<_> = log
        .lines()
        .filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\""))
        .collect();
    assert!(warnings.len() <= 2, "{warnings:#?}");
}

#[tokio::test]
async fn a_sidecar_that_hangs_ends_with_the_requests_deadline() {
    let gateway = beside(scripted(None).await)
        .limits("timeout = \"1s\"")
        .guest("hello")
        .start();
    let path = "/v1.0/state/statestore/k";
    gateway
        .call("shop", "GET", path, "")
        .await
        .assert_error(504, "deadline");
    gateway.wait_for_in_flight("shop", 0).await;
    assert_eq!(gateway.get("/hello").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_a_short_success() {
    let reply = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let gateway = beside(scripted(Some(reply)).await).start();
    let cut = gateway
        .call("shop", "GET", "/v1.0/state/statestore/k", "")
        .await;
    assert_eq!(cut.status, 599, "{}", cut.text());
    let keys = r#"{"keys":["k"]}"#;
    let cut = gateway
        .call("shop", "POST", "/v1.0/state/statestore/bulk", keys)
        .await;
    cut.fails(502, "ERR_SIDECAR_ANSWER");
}
