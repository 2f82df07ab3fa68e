//! Coordinated omission: a server that stalls must not be able to hide it by
//! keeping the load from being sent.

use std::{sync::Arc, time::Duration};

use wasmgate_loadtest::{
    client,
    plan::{Pace, Plan},
    progress::Progress,
    stats::Measurement,
    target::Target,
    workload::{Exchange, Workload},
};

use crate::harness::stalling_server;

const STALL_FROM: Duration = Duration::from_millis(200);
const STALL_UNTIL: Duration = Duration::from_millis(700);

fn load(plan: &Plan, until: Duration) -> Measurement {
    let target = Target::from(stalling_server(STALL_FROM, until));
    let workload = Arc::new(Workload::one(Exchange::get("/")));
    client::drive(&target, &workload, plan, Progress::Silent).unwrap()
}

fn open_loop() -> Plan {
    Plan {
        pace: Pace::Open {
            requests_per_second: 500.0,
        },
        connections: 2,
        duration: Duration::from_secs(1),
        ..Plan::default()
    }
}

#[test]
fn an_open_loop_shows_a_stall_to_every_request_that_was_due_in_it() {
    let seen = load(&open_loop(), STALL_UNTIL);
    assert_eq!((seen.answered, seen.errors.total()), (500, 0));
    // Half of the second was a stall, and a request due at its start waited
    // for all of it: the tail is the stall, not the two requests in flight.
    assert!(
        seen.latency(99.0) >= Duration::from_millis(400),
        "{:?}",
        seen.latency(99.0)
    );
    assert!(
        seen.latency(75.0) >= Duration::from_millis(100),
        "{:?}",
        seen.latency(75.0)
    );
    assert!(seen.send_delay(90.0) >= Duration::from_millis(100));
}

#[test]
fn a_closed_loop_hides_the_same_stall() {
    let plan = Plan {
        pace: Pace::Closed,
        ..open_loop()
    };
    let seen = load(&plan, STALL_UNTIL);
    assert!(
        seen.latency(99.0) < Duration::from_millis(100),
        "{:?}",
        seen.latency(99.0)
    );
    assert!(seen.latency(100.0) >= Duration::from_millis(400));
}

#[test]
fn requests_still_unsent_at_the_end_are_counted_and_their_wait_is_seen() {
    let plan = Plan {
        timeout: Duration::from_millis(300),
        ..open_loop()
    };
    let seen = load(&plan, Duration::from_secs(60));
    assert!(seen.errors.timeout > 0);
    assert!(seen.errors.unsent > 100, "{:?}", seen.errors);
    assert_eq!(seen.answered + seen.errors.total(), 500);
    assert!(seen.latency(99.0) >= Duration::from_millis(300));
}
