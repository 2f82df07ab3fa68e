//! Scenarios that say more than one thing to a server.

use std::{
    collections::HashMap,
    net::SocketAddr,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use serde_json::Value;

use crate::harness::{PROGRAM, server};

/// The result of `run ARGUMENTS… --json URL`.
fn result_of(arguments: &[&str], address: SocketAddr) -> Value {
    let url = format!("http://{address}");
    let output = Command::new(PROGRAM)
        .arg("run")
        .args(arguments)
        .args(["--json", &url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A shop that fulfils an order at the third look, except every third order,
/// which it refunds.
fn shop() -> SocketAddr {
    let placed = AtomicU64::new(0);
    let looks = Mutex::new(HashMap::<u64, u32>::new());
    server(move |request| {
        if request.starts_with("POST /c/v1/api/orders ") {
            let id = placed.fetch_add(1, Relaxed);
            return (202, format!(r#"{{"id":"{id}"}}"#));
        }
        let path = request.split_whitespace().nth(1).unwrap_or_default();
        let id = path.strip_prefix("/c/v1/api/orders/");
        let Some(id) = id.and_then(|id| id.parse().ok()) else {
            return (404, String::new());
        };
        let mut looks = looks.lock().unwrap();
        let look = looks.entry(id).or_default();
        *look += 1;
        let status = match (*look, id % 3) {
            (..3, _) => 1,
            (_, 0) => 3,
            _ => 2,
        };
        (200, format!(r#"{{"orderStatus":{status}}}"#))
    })
}

#[test]
fn followed_orders_are_counted_as_accepted_and_as_fulfilled() {
    let arguments = ["order", "--follow", "--rate", "100", "--duration", "300ms"];
    let result = result_of(&arguments, shop());
    // Order 0 was the first look at the shop; 3, 6, … 30 are refunded.
    assert_eq!(result["accepted"]["answered"], 30);
    assert_eq!(result["fulfilled"]["answered"], 20);
    assert_eq!(result["fulfilled"]["errors"]["body"], 10);
    let p50 = |which: &str| result[which]["latency_ms"]["p50"].as_f64().unwrap();
    assert!(p50("fulfilled") > p50("accepted"));
}

#[test]
fn orders_that_are_not_followed_are_only_placed() {
    let arguments = ["order", "--rate", "100", "--duration", "300ms"];
    let result = result_of(&arguments, shop());
    assert_eq!(result["accepted"]["answered"], 30);
    assert_eq!(result["fulfilled"], Value::Null);
}

#[test]
fn a_value_is_saved_before_it_is_read() {
    let saved = AtomicBool::new(false);
    let store = server(move |request| match request.starts_with("PUT /state ") {
        true => {
            saved.store(true, Relaxed);
            (204, String::new())
        }
        false if saved.load(Relaxed) => (200, "7".to_owned()),
        false => (404, String::new()),
    });
    let arguments = [
        "state",
        "--rate",
        "100",
        "--duration",
        "200ms",
        "--warmup",
        "0s",
    ];
    let result = result_of(&arguments, store);
    assert_eq!(result["result"]["answered"], 20);
    assert_eq!(result["result"]["errors"]["status"], 0);
}
