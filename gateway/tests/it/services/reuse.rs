//! Instances that answer several requests, one after the other, where `reuse` says so.

use futures_util::future::join_all;
use tempfile::TempDir;

use super::{assert_unharmed, beside_hello};
use crate::{
    harness::{Builder, Signal, TestGateway, empty, guest, middleware, run, until, within},
    reload::change,
};

const NEW: (&str, &str) = ("package", "new");

/// Answers of the counter, one after the other.
async fn counts<const N: usize>(gateway: &TestGateway) -> [String; N] {
    let mut counts = [const { String::new() }; N];
    for count in &mut counts {
        *count = gateway.get("/new/count").await.text();
        gateway.wait_for_in_flight("new", 0).await;
    }
    counts
}

async fn started(gateway: &TestGateway) -> f64 {
    let metrics = gateway.metrics().await;
    metrics.sum("wasmgate_instantiation_seconds_count", &[NEW])
}

async fn ended(gateway: &TestGateway, reason: &str) -> f64 {
    let metrics = gateway.metrics().await;
    let labels = [NEW, ("reason", reason)];
    metrics.sum("wasmgate_reused_instances_ended_total", &labels)
}

async fn wait_for_ended(gateway: &TestGateway, reason: &str, instances: u64) {
    let labels = [NEW, ("reason", reason)];
    let name = "wasmgate_reused_instances_ended_total";
    gateway.wait_for_metric(name, &labels, instances).await;
}

#[tokio::test]
async fn an_instance_answers_as_many_requests_as_it_may_and_no_more() {
    let gateway = beside_hello("", "reuse = 3").start();
    assert_eq!(counts(&gateway).await, ["1", "2", "3", "1", "2", "3", "1"]);
    assert_eq!(started(&gateway).await, 3.0);
    wait_for_ended(&gateway, "used-up", 2).await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("wasmgate_instances_reused_total", &[NEW]), 4.0);
    assert_eq!(metrics.sum("wasmgate_instances_idle", &[NEW]), 1.0);
}

#[tokio::test]
async fn unless_it_is_asked_for_a_request_sees_nothing_of_another() {
    for (lines, words) in [
        ("", ["nothing", "nothing"]),
        ("reuse = 1", ["nothing", "nothing"]),
        ("reuse = 2", ["nothing", "one"]),
    ] {
        let gateway = beside_hello("", lines).start();
        for (word, before) in ["one", "two"].into_iter().zip(words) {
            let reply = gateway.get(&format!("/new/remember?word={word}")).await;
            assert_eq!(reply.text(), before, "{lines:?}");
            gateway.wait_for_in_flight("new", 0).await;
        }
    }
}

#[tokio::test]
async fn requests_at_once_have_an_instance_each() {
    let gateway = beside_hello("", "reuse = 100").start();
    for _ in 0..2 {
        let replies = join_all((0..4).map(|_| gateway.get("/new/sleep?ms=1000"))).await;
        assert!(replies.iter().all(|reply| reply.text() == "awake"));
        gateway.wait_for_in_flight("new", 0).await;
    }
    assert_eq!(started(&gateway).await, 4.0);
}

#[tokio::test]
async fn an_instance_that_failed_or_left_something_answers_no_more() {
    let gateway = beside_hello("timeout = \"3s\"\nmemory = \"16MiB\"", "reuse = 1000").start();
    for (path, reason) in [
        ("trap", "failed"),
        ("error", "failed"),
        ("exit", "failed"),
        ("never", "failed"),
        ("spin", "failed"),
        ("works-on", "failed"),
        ("leaves-open", "failed"),
        ("breaks-off", "failed"),
        ("allocate", "failed"),
        ("hoard?what=streams&count=1", "left-something"),
        ("hoard?what=futures&count=1", "left-something"),
        ("hoard?what=fields&count=1", "left-something"),
        ("hoard?what=timers&count=1", "failed"),
        ("hoard?what=bodies&count=1", "left-something"),
        ("leave-unread", "left-something"),
    ] {
        assert_eq!(counts(&gateway).await, ["1", "2"], "before {path}");
        let before = ended(&gateway, reason).await;
        gateway.get(&format!("/new/{path}")).await;
        assert_unharmed(&gateway).await;
        until(&format!("{reason} after {path}"), async || {
            ended(&gateway, reason).await > before
        })
        .await;
        assert_eq!(counts(&gateway).await, ["1"], "after {path}");
        // Ends the one that is left.
        gateway.get("/new/trap").await;
        gateway.wait_for_in_flight("new", 0).await;
    }
}

#[tokio::test]
async fn an_instance_whose_client_left_answers_no_more() {
    let gateway = beside_hello("timeout = \"10m\"", "reuse = 1000").start();
    for path in ["never", "spin", "writes-without-end"] {
        assert_eq!(counts(&gateway).await, ["1", "2"], "before {path}");
        let mut connection = gateway.raw().await;
        connection
            .send(format!("GET /new/{path} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
        gateway.wait_for_in_flight("new", 1).await;
        drop(connection);
        assert_unharmed(&gateway).await;
        assert_eq!(counts(&gateway).await, ["1"], "after {path}");
        gateway.get("/new/trap").await;
        gateway.wait_for_in_flight("new", 0).await;
    }
}

#[tokio::test]
async fn work_after_an_answer_is_over_before_the_next_request() {
    let gateway = beside_hello("", "reuse = 10").start();
    assert_eq!(
        gateway.get("/new/count-after?ms=3000").await.text(),
        "later"
    );
    // Nobody has this instance while it works on.
    assert_eq!(gateway.get("/new/count").await.text(), "1");
    gateway.wait_for_in_flight("new", 0).await;
    assert_eq!(started(&gateway).await, 2.0);
    gateway
        .wait_for_metric("wasmgate_instances_idle", &[NEW], 2)
        .await;
}

#[tokio::test]
async fn each_request_has_all_of_its_time() {
    let gateway = beside_hello("timeout = \"5s\"", "reuse = 10").start();
    for _ in 0..4 {
        let reply = gateway.get("/new/sleep?ms=1500").await;
        assert_eq!(reply.text(), "awake");
        gateway.wait_for_in_flight("new", 0).await;
    }
    assert_eq!(started(&gateway).await, 1.0);
}

#[tokio::test]
async fn what_is_printed_stands_under_the_request_that_printed_it_and_each_has_its_own_room() {
    let gateway = beside_hello("", "reuse = 10").start();
    for (id, lines) in [("first", 1), ("second", 5_000), ("third", 1)] {
        let request = gateway
            .request("GET", &format!("/new/print?lines={lines}"))
            .header("x-request-id", id);
        gateway.send(request.body(empty()).unwrap()).await;
        gateway.wait_for_in_flight("new", 0).await;
        gateway
            .wait_for_event(&[NEW, ("request_id", id), ("message", "line 0 of WASI 0.3")])
            .await;
    }
    let third = [
        NEW,
        ("request_id", "third"),
        ("message", "a line of Rust's own"),
    ];
    gateway.wait_for_event(&third).await;
    assert_eq!(started(&gateway).await, 1.0);
}

#[tokio::test]
async fn each_request_is_passed_on_and_sent_out_under_its_own_name() {
    let gateway = TestGateway::builder()
        .package("front", &middleware(), "next = \"behind\"\nreuse = 10")
        .package("behind", &guest("p3_torments"), "reuse = 10")
        .route("/front/{*rest}", "front")
        .start();
    for id in ["first", "second", "third"] {
        let request = gateway
            .request("GET", &format!("/front/request?of={id}"))
            .header("x-request-id", id);
        let text = gateway.send(request.body(empty()).unwrap()).await.text();
        assert!(text.contains(&format!("x-request-id: {id}\n")), "{text}");
        assert!(text.contains(&format!("request?of={id}")), "{text}");
        for name in ["front", "behind"] {
            gateway.wait_for_in_flight(name, 0).await;
        }
    }
    let metrics = gateway.metrics().await;
    for name in ["front", "behind"] {
        let package = [("package", name)];
        let started = metrics.sum("wasmgate_instantiation_seconds_count", &package);
        assert_eq!(started, 1.0, "{name}");
    }
}

#[tokio::test]
async fn an_instance_that_waits_keeps_nobody_from_the_only_place() {
    let gateway = beside_hello("concurrency = 1\nqueue = 4", "reuse = 3").start();
    let replies = join_all((0..5).map(|_| gateway.get("/new/count"))).await;
    let mut counts: Vec<_> = replies.iter().map(|reply| reply.text()).collect();
    counts.sort();
    assert_eq!(counts, ["1", "1", "2", "2", "3"]);
}

/// A package that reserves memory beyond what all take, and keeps instances, beside one that needs some.
fn large(server: &str) -> Builder {
    TestGateway::builder()
        .server(&format!("workers = 1\n{server}"))
        .package("new", &guest("p3_torments"), "reuse = 100")
        .route("/new/{*rest}", "new")
        .package("other", &guest("p3_torments"), "")
        .route("/other/{*rest}", "other")
}

#[tokio::test]
async fn memory_of_instances_that_wait_is_there_for_others() {
    let gateway = large("memory = \"512MiB\"").start();
    let grow = |package| format!("/{package}/grow?mib=100&ms=1500");
    let target = grow("new");
    let grown = join_all((0..3).map(|_| gateway.get(&target))).await;
    assert!(grown.iter().all(|reply| reply.status == 200));
    gateway.wait_for_in_flight("new", 0).await;
    gateway
        .wait_for_metric("wasmgate_instances_idle", &[NEW], 3)
        .await;
    let metrics = gateway.metrics().await;
    let reserved = metrics.sum("wasmgate_memory_bytes", &[("state", "reserved")]);
    assert!(reserved > f64::from(290 << 20), "{reserved}");
    let target = grow("other");
    let others = join_all((0..3).map(|_| gateway.get(&target))).await;
    assert!(
        others.iter().all(|reply| reply.status == 200),
        "{:?}",
        others.iter().map(|reply| reply.text()).collect::<Vec<_>>()
    );
    wait_for_ended(&gateway, "needed", 3).await;
    gateway
        .wait_for_metric("wasmgate_instances_idle", &[NEW], 0)
        .await;
}

#[tokio::test]
async fn slots_of_instances_that_wait_are_there_for_others() {
    const WAITING: usize = 60;

    let gateway = TestGateway::builder()
        .server("workers = 1")
        .limits("timeout = \"10m\"")
        .package("new", &guest("p3_torments"), "reuse = 1000")
        .route("/new/{*rest}", "new")
        .guest("hangs")
        .guest("hello")
        .start();
    gateway.get("/hello").await;
    join_all((0..WAITING).map(|_| gateway.get("/new/sleep?ms=500"))).await;
    gateway.wait_for_in_flight("new", 0).await;
    let room = gateway.status("VmSize") * 1024 + (256 << 20);
    let before = gateway.limit_address_space(Some(room));
    let mut held = Vec::new();
    while ended(&gateway, "needed").await == 0.0 {
        let mut connection = gateway.raw().await;
        connection
            .send("GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        held.push(connection);
        gateway.wait_for_in_flight("hangs", held.len() as u64).await;
        assert_eq!(gateway.get("/hello").await.status, 200);
        assert!(held.len() < 2 * WAITING, "there is always room");
    }
    assert_eq!(gateway.get("/hello").await.status, 200);
    gateway.limit_address_space(before);
}

#[tokio::test]
async fn an_instance_that_nobody_asks_for_ends() {
    let gateway = beside_hello("", "reuse = 10").start();
    assert_eq!(counts(&gateway).await, ["1"]);
    gateway
        .wait_for_metric("wasmgate_instances_idle", &[NEW], 1)
        .await;
    gateway
        .wait_for_metric("wasmgate_instances_idle", &[NEW], 0)
        .await;
    wait_for_ended(&gateway, "idle", 1).await;
    assert_eq!(counts(&gateway).await, ["1"]);
}

#[tokio::test]
async fn a_reload_ends_the_instances_of_what_it_changes_and_no_others() {
    let changed = |lines: &str| beside_hello("", lines);
    let gateway = changed("reuse = 100").start();
    assert_eq!(counts(&gateway).await, ["1", "2"]);
    change(&gateway, &changed("reuse = 100").guest("counter")).await;
    assert_eq!(counts(&gateway).await, ["3"]);
    change(&gateway, &changed("reuse = 100\nenv = { A = \"b\" }")).await;
    assert_eq!(counts(&gateway).await, ["1", "2"]);
    wait_for_ended(&gateway, "replaced", 1).await;
    change(&gateway, &changed("env = { A = \"b\" }")).await;
    assert_eq!(counts(&gateway).await, ["1", "1"]);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("wasmgate_instances_idle", &[NEW]), 0.0);
}

#[tokio::test]
async fn an_instance_at_work_on_what_a_reload_replaces_does_not_come_back() {
    let gateway = beside_hello("", "reuse = 100").start();
    let slow = gateway.get("/new/sleep?ms=1500");
    let meanwhile = async {
        gateway.wait_for_in_flight("new", 1).await;
        change(
            &gateway,
            &beside_hello("", "reuse = 100\nenv = { A = \"b\" }"),
        )
        .await;
    };
    let (reply, ()) = tokio::join!(slow, meanwhile);
    assert_eq!(reply.text(), "awake");
    gateway.wait_for_in_flight("new", 0).await;
    wait_for_ended(&gateway, "replaced", 1).await;
    assert_eq!(counts(&gateway).await, ["1"]);
}

#[tokio::test]
async fn a_drain_waits_for_no_instance_that_waits() {
    let mut gateway = beside_hello("", "reuse = 100").start();
    assert_eq!(counts(&gateway).await, ["1", "2"]);
    gateway.signal(Signal::Terminate);
    let status = within("the end", gateway.ended()).await;
    assert!(status.success(), "{status}");
}

#[test]
fn what_cannot_be_reused_is_refused_with_words() {
    let refused = |guest_of: &str, lines: &str| {
        let folder = TempDir::new().unwrap();
        let builder = TestGateway::builder().package("new", &guest(guest_of), lines);
        builder.route("/new/{*rest}", "new").write_to(folder.path());
        let output = run(folder.path(), &["check"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{lines}: {told}");
        told
    };
    for number in ["0", "-1", "100001", "99999999999999999999999"] {
        let told = refused("p3_torments", &format!("reuse = {number}"));
        assert!(told.contains("package.new.reuse"), "{told}");
    }
    for number in ["\"all\"", "true", "1.5"] {
        let told = refused("p3_torments", &format!("reuse = {number}"));
        assert!(told.contains("a number such as 100"), "{told}");
    }
    let told = refused("hello", "reuse = 2");
    assert!(
        told.contains("a component of wasi:http/proxy@0.2, and `reuse` is for those of wasi:http/service@0.3"),
        "{told}"
    );
    let told = refused("hello", "kind = \"cgi\"\nreuse = 2");
    assert!(told.contains("answers one request"), "{told}");
}
