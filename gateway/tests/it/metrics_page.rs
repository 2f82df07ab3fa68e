//! `/metrics` as Prometheus and its tools read it, and what is on it from the start.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};
use wasmgate_real_dapr::left_out;

use crate::harness::{TestGateway, Upstream, until};

/// A package that subscribes and takes events, and one that may call everything.
fn gateway() -> TestGateway {
    TestGateway::builder()
        .guest_as(
            "shop",
            "calls_dapr",
            r#"dapr = { state = ["statestore"], publish = ["pubsub/*"], jobs = true }"#,
        )
        .guest_as(
            "kitchen",
            "takes_deliveries",
            r#"env = { SUBSCRIPTIONS = '[{"pubsubname":"pubsub","topic":"orders","route":"/events"}]' }
               dapr = { state = ["statestore"], subscribe = ["pubsub/*"] }"#,
        )
        .guest("hello")
        .start()
}

/// Returns what `promtool check metrics` has to say of a page, or none where there is no promtool (Debian's
/// `prometheus`).
fn lint(page: &str) -> Option<(bool, String)> {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        left_out("there is no promtool (Debian's prometheus)");
        return None;
    };
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(page.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&told).into_owned(),
    ))
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_at_the_start_nor_after_work() {
    let gateway = gateway();
    gateway.ready().await;
    let at_the_start = gateway.metrics().await.text().to_owned();
    gateway.get("/hello").await;
    gateway.get("/nowhere").await;
    let publish = "/v1.0/publish/pubsub/orders?metadata.cloudevent.id=e";
    gateway.call("shop", "POST", publish, "1").await.is(204);
    gateway.delivery("kitchen", "e").await;
    let after_work = gateway.metrics().await.text().to_owned();
    for page in [at_the_start, after_work] {
        if let Some((fine, told)) = lint(&page) {
            assert!(fine && told.is_empty(), "{told}\n{page}");
        }
    }
}

#[tokio::test]
async fn every_family_has_a_type_and_a_help_text_and_only_counters_are_totals() {
    let gateway = gateway();
    gateway.get("/hello").await;
    let metrics = gateway.metrics().await;
    let mut types = 0;
    for line in metrics.text().lines() {
        let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        types += 1;
        assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        let help = format!("# HELP {name} ");
        assert_eq!(metrics.text().matches(&help).count(), 1, "{name}");
    }
    assert!(types > 25, "{}", metrics.text());
}

#[tokio::test]
async fn queues_pools_process_and_build_are_shown_before_anything_happened() {
    let gateway = gateway();
    gateway.ready().await;
    let metrics = gateway.metrics().await;
    let queue = [("app_id", "kitchen"), ("topic", "orders")];
    for state in ["waiting", "parked"] {
        let labels = [queue[0], queue[1], ("state", state)];
        for name in [
            "wasmgate_dapr_queued_events",
            "wasmgate_dapr_oldest_event_age_seconds",
        ] {
            assert_eq!(metrics.find(name, &labels), Some(0.0), "{name} {state}");
        }
    }
    for engine in ["pool", "copy-on-write"] {
        for state in ["limit", "live", "warm"] {
            let labels = [("engine", engine), ("kind", "memory"), ("state", state)];
            let slots = metrics.find("wasmgate_pool_slots", &labels);
            assert!(slots.is_some(), "{labels:?}\n{}", metrics.text());
        }
        let labels = [("engine", engine), ("kind", "memory")];
        let kept = metrics.find("wasmgate_pool_warm_resident_bytes", &labels);
        assert!(kept.is_some(), "{labels:?}");
    }
    for event in ["evicted", "leaked"] {
        let labels = [("kind", "memory"), ("event", event)];
        assert_eq!(
            metrics.find("wasmgate_pool_events_total", &labels),
            Some(0.0)
        );
    }
    let exhausted = [("reason", "memories-exhausted")];
    assert_eq!(
        metrics.find("wasmgate_pool_refusals_total", &exhausted),
        Some(0.0)
    );
    let delivered = [
        ("package", "kitchen"),
        ("kind", "event"),
        ("result", "done"),
    ];
    assert_eq!(
        metrics.find("wasmgate_deliveries_total", &delivered),
        Some(0.0)
    );
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(metrics.find("wasmgate_build_info", &version), Some(1.0));
    assert_eq!(metrics.find("wasmgate_ready", &[]), Some(1.0));
    let registered = [("state", "registered")];
    assert_eq!(metrics.find("wasmgate_packages", &registered), Some(3.0));
    assert_eq!(
        metrics.find("wasmgate_log_dropped_lines_total", &[]),
        Some(0.0)
    );
}

#[tokio::test]
async fn the_process_is_shown_as_the_kernel_sees_it() {
    let gateway = gateway();
    let metrics = gateway.metrics().await;
    let value = |name| {
        metrics
            .find(name, &[])
            .unwrap_or_else(|| panic!("no {name}"))
    };
    assert!(value("process_cpu_seconds_total") > 0.0);
    let resident = gateway.resident_bytes() as f64;
    let told = value("process_resident_memory_bytes");
    assert!(
        told > resident / 2.0 && told < resident * 2.0,
        "{told} {resident}"
    );
    assert!(value("process_virtual_memory_bytes") > told);
    assert!(value("process_open_fds") > 10.0);
    assert!(value("process_max_fds") > value("process_open_fds"));
    // A thread may come or go between the two.
    until("one number of threads", || async {
        let told = gateway.metrics().await.find("process_threads", &[]);
        told == Some(gateway.status("Threads") as f64)
    })
    .await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    let started = value("process_start_time_seconds");
    assert!(
        started <= now + 1.0 && now - started < 600.0,
        "{started} {now}"
    );
}

#[tokio::test]
async fn calls_of_the_building_blocks_and_deliveries_are_counted_by_result_and_timed() {
    let gateway = gateway();
    gateway.ready().await;
    let publish = "/v1.0/publish/pubsub/orders?metadata.cloudevent.id=e";
    gateway.call("shop", "POST", publish, "1").await.is(204);
    gateway.call("shop", "GET", "/v1.0/state/other/k", "").await;
    gateway.delivery("kitchen", "e").await;
    let metrics = gateway.metrics().await;
    for (block, operation, result) in [("pubsub", "publish", "2xx"), ("state", "get", "4xx")] {
        let labels = [
            ("package", "shop"),
            ("block", block),
            ("operation", operation),
            ("result", result),
        ];
        let counted = metrics.find("wasmgate_block_calls_total", &labels);
        assert_eq!(counted, Some(1.0), "{labels:?}\n{}", metrics.text());
        let timed = metrics.find("wasmgate_block_call_duration_seconds_count", &labels[..3]);
        assert_eq!(timed, Some(1.0), "{labels:?}");
    }
    let delivered = [
        ("package", "kitchen"),
        ("kind", "event"),
        ("result", "done"),
    ];
    gateway
        .wait_for_metric("wasmgate_deliveries_total", &delivered, 1)
        .await;
}

#[tokio::test]
async fn outbound_requests_are_counted_by_result_and_timed() {
    let upstream = Upstream::start().await;
    let origin = format!("http://{}", upstream.address);
    let gateway = TestGateway::builder()
        .guest_with(
            "calls_out",
            &format!("outbound = [\"{}\", \"http://127.0.0.1:1\"]", origin),
        )
        .start();
    for to in [
        format!("{}/", origin),
        "http://127.0.0.1:1/".to_owned(),
        "http://elsewhere.example/".to_owned(),
    ] {
        gateway.get(&format!("/calls-out?to={to}")).await;
    }
    let metrics = gateway.metrics().await;
    for result in ["2xx", "connect", "refused"] {
        let labels = [("package", "calls-out"), ("result", result)];
        let counted = metrics.find("wasmgate_outbound_requests_total", &labels);
        assert_eq!(counted, Some(1.0), "{result}\n{}", metrics.text());
    }
    let labels = [("package", "calls-out")];
    let timed = metrics.find("wasmgate_outbound_request_duration_seconds_count", &labels);
    assert_eq!(timed, Some(3.0));
}

#[tokio::test]
async fn buckets_resolve_a_millisecond_to_half_a_minute() {
    let gateway = gateway();
    gateway.get("/hello").await;
    let metrics = gateway.metrics().await;
    let bounds: Vec<f64> = metrics
        .text()
        .lines()
        .filter(|line| line.starts_with("wasmgate_request_duration_seconds_bucket"))
        .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next())
        .filter_map(|bound| bound.parse().ok())
        .filter(|bound: &f64| (0.001..=30.0).contains(bound))
        .collect();
    assert_eq!((bounds.first(), bounds.last()), (Some(&0.001), Some(&30.0)));
    for pair in bounds.windows(2) {
        assert!(pair[1] / pair[0] <= 3.0, "{pair:?}");
    }
}

#[tokio::test]
async fn slots_of_the_copy_on_write_engine_are_counted_while_they_are_used() {
    let gateway = TestGateway::builder()
        .guest_with("hangs", "engine = \"copy-on-write\"")
        .start();
    let mut connection = gateway.raw().await;
    connection
        .send("GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    let labels = [
        ("engine", "copy-on-write"),
        ("kind", "stack"),
        ("state", "live"),
    ];
    gateway
        .wait_for_metric("wasmgate_pool_slots", &labels, 1)
        .await;
    drop(connection);
    until("a free slot", || async {
        gateway.metrics().await.find("wasmgate_pool_slots", &labels) == Some(0.0)
    })
    .await;
}
