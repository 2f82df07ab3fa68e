//! The alert rules that `wasmgate deploy` renders: a running gateway shows every metric, label and value that they ask
//! for. That each fires when it should, and not otherwise, `make test-deploy` has promtool try.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use wasmgate_real_dapr::Place;

use crate::{
    dapr_sidecar::{SIDECAR, beside},
    harness::{Metrics, TestGateway, run, until},
    reload::{change, reload},
};

/// A package that subscribes.
const SUBSCRIBES: &str = r#"env = { SUBSCRIPTIONS = '[{"pubsubname":"pubsub","topic":"orders","route":"/events"}]' }
               dapr = { subscribe = ["pubsub/*"] }"#;

/// The expressions of the rules, which name the job `site-metrics`.
fn expressions() -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let package = "[package.a]\nsource = \"oci://registry.example.com/a:1\"\n";
    fs::write(folder.path().join("wasmgate.toml"), package).unwrap();
    let options = [
        "deploy",
        "--kubernetes",
        "--name",
        "site",
        "--service-monitor",
    ];
    let output = run(folder.path(), &options);
    let text = String::from_utf8(output.stdout).unwrap();
    let rules = text
        .split("---\n")
        .find(|object| object.contains("kind: PrometheusRule"));
    let rules: Value = serde_norway::from_str(rules.unwrap()).unwrap();
    let rules = rules["spec"]["groups"][0]["rules"].as_array().unwrap();
    let expressions = rules
        .iter()
        .map(|rule| rule["expr"].as_str().unwrap().to_owned());
    expressions.collect()
}

/// Each selector of a gateway's metric: its name, and the matchers beside the job's.
fn selectors(expression: &str) -> Vec<(String, Vec<String>)> {
    let parts = expression.split("wasmgate_").skip(1);
    let selectors = parts.map(|part| {
        let (name, rest) = part.split_once('{').expect(expression);
        let (matchers, _) = rest.split_once('}').expect(expression);
        let mut matchers: Vec<String> = matchers.split(',').map(str::to_owned).collect();
        assert_eq!(matchers.remove(0), "job=\"site-metrics\"", "{expression}");
        (format!("wasmgate_{name}"), matchers)
    });
    selectors.collect()
}

/// A gateway whose package has answered with an error, was held, refused a request, and was cut by a reload.
async fn in_trouble() -> TestGateway {
    let limits = |queue: &str| format!("limits = {{ concurrency = 1, {queue}, timeout = \"10m\" }}");
    let with = |site: &str| {
        TestGateway::builder()
            .server("drain_timeout = \"100ms\"")
            .guest_as("site", site, "")
            .guest_as(
                "full",
                "hangs",
                &limits("queue = 1, queue_timeout = \"1m\""),
            )
            .guest_as("busy", "hangs", &limits("queue = 0"))
            .guest_as(
                "late",
                "hangs",
                &limits("queue = 5, queue_timeout = \"50ms\""),
            )
            .guest("panics")
            .guest_as("kitchen", "takes_deliveries", SUBSCRIBES)
    };
    let gateway = with("hangs").start();
    gateway.ready().await;
    gateway.get("/panics").await.assert_error(502, "guest-trap");
    let mut held = Vec::new();
    for (path, requests) in [("site", 1), ("full", 2), ("busy", 1), ("late", 1)] {
        for _ in 0..requests {
            let mut raw = gateway.raw().await;
            let request = format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n");
            raw.send(&request).await;
            held.push(raw);
            gateway.wait_for_in_flight(path, 1).await;
        }
    }
    until("a request that waits", || async {
        let metrics = gateway.metrics().await;
        metrics.sum("wasmgate_queue_waiting", &[("package", "full")]) == 1.0
    })
    .await;
    gateway.get("/full").await.assert_error(503, "queue-full");
    gateway.get("/busy").await.assert_error(503, "overloaded");
    gateway
        .get("/late")
        .await
        .assert_error(503, "queue-timeout");
    change(&gateway, &with("hello")).await;
    let cut = held.swap_remove(0).response().await;
    assert_eq!(cut.header("x-wasmgate-error"), Some("package-replaced"));
    gateway
}

/// Whether a page has each value that a matcher names; a pattern's are told apart by `|`.
fn shows(metrics: &Metrics, name: &str, matcher: &str) -> bool {
    let (label, value) = matcher.split_once('=').unwrap();
    let is_pattern = value.starts_with('~');
    let value = value.trim_start_matches('~').trim_matches('"');
    let found = |value: &str| metrics.find(name, &[(label, value)]).is_some();
    if is_pattern && value.contains('.') {
        return (500..600).any(|status| found(&status.to_string()));
    }
    value.split('|').all(found)
}

#[tokio::test]
async fn a_running_gateway_shows_every_metric_that_an_alert_asks_for() {
    let place = Place::new();
    let lonely = beside(place.at(SIDECAR)).start();
    let gateway = in_trouble().await;
    let pages = [gateway.metrics().await, lonely.metrics().await];
    let expressions = expressions();
    assert!(expressions.len() > 10, "{expressions:?}");
    for (name, matchers) in expressions.iter().flat_map(|one| selectors(one)) {
        let page = pages.iter().find(|page| page.count(&name) > 0);
        let Some(page) = page else {
            panic!("no {name} in\n{}", pages[0].text());
        };
        for matcher in &matchers {
            assert!(
                shows(page, &name, matcher),
                "no {name}{{{matcher}}} in\n{}",
                page.text()
            );
        }
    }
}

#[tokio::test]
async fn a_reload_that_is_not_taken_is_told_until_one_is() {
    let gateway = TestGateway::builder().guest("hello").start();
    gateway.ready().await;
    let told = async || {
        let metrics = gateway.metrics().await;
        metrics.find("wasmgate_last_reload_successful", &[])
    };
    assert_eq!(told().await, Some(1.0));
    let file = gateway.folder().join("wasmgate.toml");
    let right = fs::read_to_string(&file).unwrap();
    fs::write(&file, "[server\n").unwrap();
    reload(&gateway).await;
    assert_eq!(told().await, Some(0.0));
    fs::write(&file, right).unwrap();
    reload(&gateway).await;
    assert_eq!(told().await, Some(1.0));
}
