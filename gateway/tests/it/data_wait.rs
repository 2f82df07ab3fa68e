//! A start on data that another gateway still holds: it waits, alive and not ready, and says so.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use http::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use wasmgate_real_dapr::Place;

use crate::{
    dapr_mistakes::{STORE, shop},
    harness::{Reply, Signal, TestGateway, command, empty, output_of, send_to, until},
};

/// The port of the admin listener of the gateway that waits: it announces none before it serves.
const ADMIN: u16 = 9090;

/// The data are in use (`EX_IOERR`).
const IN_USE: i32 = 74;

/// A second gateway with the configuration of the first.
fn second(folder: &Path, place: &Place) -> Command {
    let mut command = command(folder, &["up", "--admin"]);
    command.arg(place.at(ADMIN).to_string());
    command
}

async fn ask(admin: SocketAddr, path: &str) -> Reply {
    until("an admin listener", || async {
        TcpStream::connect(admin).await.is_ok()
    })
    .await;
    let request = Request::get(path)
        .header("host", "admin")
        .header("accept", "application/json");
    send_to(admin, request.body(empty()).unwrap()).await
}

/// Waits until `/readyz` names this reason, and answers with what it says of it.
async fn reason(admin: SocketAddr, reason: &str) -> Value {
    let told = || async {
        let told: Value = ask(admin, "/readyz").await.json();
        told["reasons"]
            .as_array()
            .and_then(|all| all.first().cloned())
    };
    until(reason, || async {
        told().await.is_some_and(|told| told["reason"] == reason)
    })
    .await;
    told().await.unwrap()
}

#[tokio::test]
async fn a_gateway_waits_alive_and_not_ready_for_the_data_of_one_that_drains() {
    let (folder, place) = (TempDir::new().unwrap(), Place::new());
    let shop = shop().guest("hangs").server("drain_timeout = \"10m\"");
    let mut first = shop.limits("timeout = \"10m\"").start_in(folder.path());
    let item = r#"[{"key":"k","value":"acknowledged"}]"#;
    first.call("shop", "POST", STORE, item).await.is(204);
    let mut held = first.raw().await;
    held.send("GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n").await;
    first.wait_for_in_flight("hangs", 1).await;
    first.signal(Signal::Terminate);

    let command = second(folder.path(), &place);
    let second = tokio::task::spawn_blocking(move || TestGateway::spawn(command));
    let told = reason(place.at(ADMIN), "data-in-use").await;
    let detail = told["detail"].as_str().unwrap();
    for part in [".wasmgate", "in use by another process", "data_wait"] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    assert_eq!(ask(place.at(ADMIN), "/livez").await.status, 200);
    assert!(
        !second.is_finished(),
        "it serves data that it does not have"
    );

    drop(held);
    assert_eq!(first.ended().await.code(), Some(0));
    let mut second = second.await.unwrap();
    second.ready().await;
    let kept = second
        .call("shop", "GET", &format!("{STORE}/k"), "")
        .await
        .is(200);
    assert_eq!(kept.json(), json!("acknowledged"));
    second.wait_for_event(&[("level", "WARN")]).await;
    assert!(
        second.log().contains("is in use by another process"),
        "{}",
        second.log()
    );
    second.signal(Signal::Terminate);
    assert_eq!(second.ended().await.code(), Some(0));
}

/// A child that ends with the test.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_signal_ends_the_wait_at_once_with_0() {
    for signal in ["TERM", "INT"] {
        let (folder, place) = (TempDir::new().unwrap(), Place::new());
        let _first = shop().start_in(folder.path());
        let mut second = Waiting(second(folder.path(), &place).spawn().unwrap());
        reason(place.at(ADMIN), "data-in-use").await;
        let kill = format!("kill -{signal} {}", second.0.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        let mut ended = None;
        until("the end of the second gateway", || {
            ended = second.0.try_wait().unwrap();
            std::future::ready(ended.is_some())
        })
        .await;
        assert_eq!(ended.unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn the_wait_is_bounded_and_ends_with_the_reason() {
    let (folder, place) = (TempDir::new().unwrap(), Place::new());
    let bound = Duration::from_millis(700);
    let _first = shop().dapr("data_wait = \"700ms\"").start_in(folder.path());
    let started = Instant::now();
    let output = output_of(second(folder.path(), &place));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(IN_USE), "{told}");
    assert!(started.elapsed() >= bound, "it did not wait");
    assert!(
        told.contains("data-in-use") || told.contains("stop it or name another folder"),
        "{told}"
    );
    assert!(told.contains("waits for it for up to 700ms"), "{told}");
}
