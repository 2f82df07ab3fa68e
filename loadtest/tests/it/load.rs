//! Loads count what they send and judge what comes back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use wasmgate_loadtest::{
    client,
    plan::{Pace, Plan, Protocol},
    progress::Progress,
    stats::Measurement,
    target::Target,
    workload::{Exchange, ExpectedBody, Workload},
};

use crate::harness::native;

/// A load of exactly `requests`, however long it takes.
fn plan(protocol: Protocol, requests: u64) -> Plan {
    Plan {
        protocol,
        requests: Some(requests),
        connections: 5,
        streams: 3,
        threads: 2,
        duration: Duration::from_secs(60),
        ..Plan::default()
    }
}

fn load(target: &Target, exchange: Exchange, plan: &Plan) -> Measurement {
    let workload = Arc::new(Workload::one(exchange));
    client::drive(target, &workload, plan, Progress::Silent).unwrap()
}

fn expecting(mut exchange: Exchange, body: &'static [u8]) -> Exchange {
    exchange.expected.body = ExpectedBody::Exactly(Bytes::from_static(body));
    exchange
}

#[test]
fn every_request_is_answered_and_counted_in_both_protocols() {
    let server = native();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let hello = expecting(Exchange::get("/hello"), b"hi\n");
        let seen = load(&server.target, hello, &plan(protocol, 1001));
        assert_eq!(
            (seen.answered, seen.errors.total()),
            (1001, 0),
            "{protocol:?}"
        );
        assert_eq!(seen.body_bytes, 3003);
        assert!(seen.latency(50.0) > Duration::ZERO);
    }
}

#[test]
fn a_large_body_arrives_whole_both_ways_in_both_protocols() {
    let server = native();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut get = Exchange::get("/body/1048576");
        get.expected.body = ExpectedBody::Exactly(vec![b'x'; 1_048_576].into());
        let seen = load(&server.target, get, &plan(protocol, 21));
        assert_eq!(
            (seen.answered, seen.errors.total()),
            (21, 0),
            "{protocol:?}"
        );

        let post = Exchange::post("/body", vec![b'x'; 1_048_576].into());
        let seen = load(
            &server.target,
            expecting(post, b"1048576"),
            &plan(protocol, 21),
        );
        assert_eq!(
            (seen.answered, seen.errors.total()),
            (21, 0),
            "{protocol:?}"
        );
    }
}

#[test]
fn a_wrong_status_and_a_wrong_body_are_errors_of_their_own() {
    let server = native();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let seen = load(
            &server.target,
            Exchange::get("/nowhere"),
            &plan(protocol, 30),
        );
        assert_eq!((seen.answered, seen.errors.status), (0, 30), "{protocol:?}");
        let wrong = expecting(Exchange::get("/hello"), b"ho\n");
        let seen = load(&server.target, wrong, &plan(protocol, 30));
        assert_eq!((seen.answered, seen.errors.body), (0, 30), "{protocol:?}");
    }
}

#[test]
fn an_open_loop_sends_its_rate_and_no_more() {
    let server = native();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let plan = Plan {
            protocol,
            pace: Pace::Open {
                requests_per_second: 1000.0,
            },
            threads: 2,
            connections: 8,
            duration: Duration::from_millis(500),
            ..Plan::default()
        };
        let seen = load(&server.target, Exchange::get("/hello"), &plan);
        assert_eq!(
            (seen.answered, seen.errors.total()),
            (500, 0),
            "{protocol:?}"
        );
    }
}

#[test]
fn a_server_that_is_gone_is_a_connect_error_for_each_due_request() {
    let gone = native().target.clone();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let plan = Plan {
            protocol,
            pace: Pace::Open {
                requests_per_second: 200.0,
            },
            connections: 2,
            duration: Duration::from_millis(250),
            ..Plan::default()
        };
        let seen = load(&gone, Exchange::get("/hello"), &plan);
        assert_eq!(
            (seen.answered, seen.errors.connect),
            (0, 50),
            "{protocol:?}"
        );
    }
}
