//! What a program may take: its own time, memory and room in the log, and its neighbours' none.

use super::{BOTH, assert_unharmed, both};
use crate::harness::{Signal, empty, full, is_broken, until};

#[tokio::test]
async fn a_program_that_never_gives_way_meets_its_deadline_and_lets_its_neighbour_answer() {
    let gateway = both("timeout = \"8s\"", "").start();
    for name in BOTH {
        let target = format!("/{name}/spins");
        let neighbour = async {
            gateway.wait_for_in_flight(name, 1).await;
            for _ in 0..5 {
                assert_eq!(gateway.get("/hello").await.status, 200);
            }
        };
        let (reply, ()) = tokio::join!(gateway.get(&target), neighbour);
        reply.assert_error(504, "deadline");
        assert_unharmed(&gateway).await;
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_at_the_deadline() {
    let gateway = both("timeout = \"3s\"", "").start();
    for name in BOTH {
        let request = gateway.request("GET", &format!("/{name}/never-ends"));
        let response = gateway.start_request(request.body(empty()).unwrap()).await;
        assert!(is_broken(response).await, "{name} ended cleanly");
        assert_unharmed(&gateway).await;
    }
}

#[tokio::test]
async fn memory_and_the_log_have_their_limits() {
    let gateway = both("memory = \"16MiB\"\ntimeout = \"5s\"", "").start();
    for name in BOTH {
        gateway
            .get(&format!("/{name}/allocates"))
            .await
            .assert_error(502, "memory-limit");
        gateway
            .get(&format!("/{name}/never-ends-its-errors"))
            .await
            .assert_error(504, "deadline");
        assert_unharmed(&gateway).await;
    }
    let lines = gateway.log().matches("once more").count();
    assert!(lines < 5000, "{lines} lines");
    let metrics = gateway.metrics().await;
    assert!(
        metrics.sum("wasmgate_guest_output_dropped_lines_total", &[]) > 0.0,
        "{}",
        metrics.text()
    );
}

#[tokio::test]
async fn each_instance_takes_one_of_the_packages_places() {
    let lines = "limits = { concurrency = 1, queue = 0 }";
    let gateway = both("timeout = \"8s\"", lines).start();
    for name in BOTH {
        let target = format!("/{name}/spins");
        let other = async {
            gateway.wait_for_in_flight(name, 1).await;
            gateway
                .get(&format!("/{name}/count"))
                .await
                .assert_error(503, "overloaded");
        };
        let (reply, ()) = tokio::join!(gateway.get(&target), other);
        reply.assert_error(504, "deadline");
        assert_eq!(gateway.get(&format!("/{name}/count")).await.text(), "1");
    }
}

#[tokio::test]
async fn a_program_at_work_is_waited_for_when_the_gateway_ends() {
    let mut gateway = both("", "").start();
    let request = gateway.request("POST", "/old/sleeps?1000");
    let response = gateway.start_request(request.body(full("")).unwrap()).await;
    let response = response.unwrap();
    gateway.signal(Signal::Terminate);
    let reply = crate::harness::Reply::of(response).await.unwrap();
    assert_eq!(reply.text(), "before after");
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn nothing_of_the_building_blocks_is_there_without_a_grant() {
    let with = "dapr = { state = [\"statestore\"] }";
    let gateway = both("", with).start();
    let told = gateway.get("/old/environment").await.text();
    assert!(told.contains("APP_ID=old\n"), "{told}");
    let gateway = both("", "").start();
    until("an environment without it", || async {
        let told = gateway.get("/old/environment").await.text();
        !told.contains("APP_ID") && !told.contains("DAPR")
    })
    .await;
}
