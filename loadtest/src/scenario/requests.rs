//! The scenarios that are one request over and over: what is sent, and how
//! the right answer is learned.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use serde_json::json;

use super::Scenario;
use crate::{
    cli::RunArgs,
    client::{self, LoadError, probe},
    plan::{Plan, Protocol},
    progress::Progress,
    report::table,
    target::Target,
    workload::{Exchange, ExpectedBody, Workload},
};

/// Which way the body of a `body-…` scenario goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Direction {
    /// The server sends it: `GET /body/BYTES`.
    Get,
    /// The client sends it: `POST /body`.
    Post,
}

/// Why a server's first answer cannot stand for the right one.
#[derive(Debug, thiserror::Error)]
pub(super) enum LearnError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(
        "{path} answered {got}, not {expected}; check the path, or name the expected status with --expect-status"
    )]
    Status {
        path: String,
        got: u16,
        expected: u16,
    },
    #[error("{path} answered {got} bytes where {expected} were asked for")]
    Length {
        path: String,
        got: usize,
        expected: usize,
    },
}

/// The small document of the `json` scenario, as the native peer answers it.
#[must_use]
pub fn json_answer() -> serde_json::Value {
    json!({"message": "hello", "items": [1, 2, 3], "nested": {"ok": true}})
}

/// One request over and over against a running server.
pub(super) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    let plan = &arguments.load.plan();
    let url = arguments
        .url
        .as_deref()
        .context("this scenario needs a URL, for example http://127.0.0.1:3000/hello")?;
    let target = Target::parse(url)?;
    let scenario = arguments.scenario;
    let mut exchange = exchange_for(scenario, &target, arguments.direction)
        .context("this scenario has no single request")?;
    exchange.expected.status = arguments.expect_status;
    let workload = learn(&target, exchange, scenario, plan.protocol, plan.timeout)?;
    if !arguments.warmup.is_zero() {
        let warmup = Plan {
            duration: arguments.warmup,
            ..plan.clone()
        };
        client::drive(&target, &workload, &warmup, Progress::Silent)?;
    }
    let seen = client::drive(&target, &workload, plan, Progress::on_terminal())?;
    let summary = seen.summary();
    if arguments.json {
        let whole = serde_json::json!({"plan": plan, "url": url, "result": summary});
        println!("{}", serde_json::to_string_pretty(&whole)?);
    } else {
        print!("{}", table::summary(&summary, plan));
    }
    Ok(())
}

/// The request of a scenario to `target`. A target without a path gets the
/// scenario's own. Scenarios that need many packages have none and get `None`.
fn exchange_for(scenario: Scenario, target: &Target, direction: Direction) -> Option<Exchange> {
    let path = |own: &str| match target.path.as_str() {
        "/" => own.to_owned(),
        given => given.to_owned(),
    };
    match (scenario, direction) {
        (Scenario::Hello, _) => Some(Exchange::get(&path("/hello"))),
        (Scenario::Json, _) => Some(Exchange::get(&path("/json"))),
        (Scenario::Body { bytes }, Direction::Get) => {
            Some(Exchange::get(&path(&format!("/body/{bytes}"))))
        }
        (Scenario::Body { bytes }, Direction::Post) => Some(Exchange::post(
            &path("/body"),
            Bytes::from(vec![b'x'; bytes]),
        )),
        _ => None,
    }
}

/// Asks once and takes that answer as the one every later answer must equal:
/// a load against a server that answers something else half of the time is
/// not a measurement.
///
/// # Errors
/// When there is no answer, its status is not the expected one, or a `body-…`
/// answer has another length than asked for.
fn learn(
    target: &Target,
    mut exchange: Exchange,
    scenario: Scenario,
    protocol: Protocol,
    timeout: Duration,
) -> Result<Arc<Workload>, LearnError> {
    let answer = probe(target, &exchange, protocol, timeout)?;
    if answer.status != exchange.expected.status {
        return Err(LearnError::Status {
            path: exchange.path,
            got: answer.status,
            expected: exchange.expected.status,
        });
    }
    if let Scenario::Body { bytes } = scenario
        && exchange.body.is_empty()
        && answer.body.len() != bytes
    {
        return Err(LearnError::Length {
            path: exchange.path,
            got: answer.body.len(),
            expected: bytes,
        });
    }
    exchange.expected.body = ExpectedBody::Exactly(answer.body);
    Ok(Arc::new(Workload::one(exchange)))
}
