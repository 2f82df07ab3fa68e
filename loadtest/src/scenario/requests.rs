//! The scenarios that are one request over and over: what is sent, and how
//! the right answer is learned.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::{Scenario, fleet::Fleet};
use crate::{
    cli::RunArgs,
    client::{self, LoadError, probe},
    plan::{Plan, Protocol},
    proc::Usage,
    progress::Progress,
    report::table,
    stats::Summary,
    target::Target,
    workload::{Exchange, ExpectedBody, Workload},
};

/// Which way the body of a `body-…` scenario, or the value of `state`, goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Direction {
    /// The server sends it: `GET /body/BYTES`, `GET /state`.
    Get,
    /// The client sends it: `POST /body`, `PUT /state`.
    Post,
}

/// A reason why a server's first answer cannot stand for the right one.
#[derive(Debug, thiserror::Error)]
pub(super) enum LearnError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{path} answered {got}, not {expected}; check the path, or name the expected status with --expect-status")]
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

/// One request over and over, against the server at the URL or, without one,
/// against a gateway of our own.
pub(super) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    let plan = &arguments.load.plan();
    let given = arguments.url.as_deref().map(Target::parse).transpose()?;
    let fleet = match given {
        Some(_) => None,
        None => Some(Fleet::of_guest(arguments)?),
    };
    let own = fleet.as_ref().map(|fleet| &fleet.gateway.peer);
    let target = own
        .map(|peer| &peer.target)
        .or(given.as_ref())
        .context("no server")?;

    let scenario = arguments.scenario;
    let mut exchange =
        exchange_for(scenario, target, arguments.direction).context("this scenario has no single request")?;
    if let Some(status) = arguments.expect_status {
        exchange.expected.status = status;
    }
    if scenario == Scenario::State && arguments.direction == Direction::Get {
        save_first(target, &exchange.path, plan)?;
    }
    let workload = learn(target, exchange, scenario, plan.protocol, plan.timeout)?;
    if !arguments.warmup.is_zero() {
        let warmup = Plan {
            duration: arguments.warmup,
            ..plan.clone()
        };
        client::drive(target, &workload, &warmup, Progress::Silent)?;
    }
    let usage = || own.map(|peer| Usage::of(peer.pid())).transpose();
    let before = usage()?;
    let seen = client::drive(target, &workload, plan, Progress::on_terminal())?;
    let used = before
        .zip(usage()?)
        .map(|(before, after)| after.per_request(&before, seen.answered));
    print(arguments, plan, &seen.summary(), used)
}

fn print(arguments: &RunArgs, plan: &Plan, summary: &Summary, used: Option<Usage>) -> anyhow::Result<()> {
    if arguments.json {
        let whole = serde_json::json!({
            "plan": plan,
            "url": arguments.url,
            "result": summary,
            "cpu_us_per_request": used.map(|used| used.cpu_us),
            "minor_faults_per_request": used.map(|used| used.minor_faults),
        });
        println!("{}", serde_json::to_string_pretty(&whole)?);
        return Ok(());
    }
    print!("{}", table::summary(summary, plan));
    if let Some(used) = used {
        println!(
            "the gateway, a request: {:.1} µs of processor time, {:.2} page faults",
            used.cpu_us, used.minor_faults
        );
    }
    Ok(())
}

/// The request of a scenario to `target`. A target without a path gets the
/// scenario's own. Scenarios of more than one request have none and get `None`.
fn exchange_for(scenario: Scenario, target: &Target, direction: Direction) -> Option<Exchange> {
    let path = |own: &str| target.path_or(own);
    match (scenario, direction) {
        (Scenario::Hello, _) => Some(Exchange::get(&path("/hello"))),
        (Scenario::Json, _) => Some(Exchange::get(&path("/json"))),
        (Scenario::Body { bytes }, Direction::Get) => Some(Exchange::get(&path(&format!("/body/{bytes}")))),
        (Scenario::Body { bytes }, Direction::Post) => Some(Exchange::post(
            &path("/body"),
            Bytes::from(vec![b'x'; bytes]),
        )),
        (Scenario::State, Direction::Get) => Some(Exchange::get(&path("/state"))),
        (Scenario::State, Direction::Post) => Some(save(&path("/state"))),
        _ => None,
    }
}

fn save(path: &str) -> Exchange {
    let value = json!({"status": "PLACED", "drinks": ["LATTE", "ESPRESSO"], "total": 8.0});
    let mut exchange = Exchange::json(Method::PUT, path, &value);
    exchange.expected.status = 204;
    exchange
}

/// Saves the value that a state get reads.
fn save_first(target: &Target, path: &str, plan: &Plan) -> Result<(), LearnError> {
    let exchange = save(path);
    let expected = exchange.expected.status;
    let got = probe(target, &exchange, plan.protocol, plan.timeout)?.status;
    if got == expected {
        return Ok(());
    }
    Err(LearnError::Status {
        path: exchange.path,
        got,
        expected,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_gets_the_scenarios_own() {
        let path = |url: &str, scenario, direction| {
            let target = Target::parse(url).unwrap();
            exchange_for(scenario, &target, direction).map(|exchange| exchange.path)
        };
        let (bare, given) = ("http://127.0.0.1:3000", "http://127.0.0.1:3000/x");
        let body = Scenario::Body { bytes: 1024 };
        assert_eq!(
            path(bare, body, Direction::Get).as_deref(),
            Some("/body/1024")
        );
        assert_eq!(path(bare, body, Direction::Post).as_deref(), Some("/body"));
        assert_eq!(path(given, body, Direction::Get).as_deref(), Some("/x"));
        assert_eq!(path(bare, Scenario::Cold, Direction::Get), None);
    }

    #[test]
    fn state_is_read_with_get_and_written_with_put() {
        let target = Target::parse("http://127.0.0.1:3000").unwrap();
        let of = |direction| exchange_for(Scenario::State, &target, direction).unwrap();
        let (read, write) = (of(Direction::Get), of(Direction::Post));
        assert_eq!((read.method, read.expected.status), (Method::GET, 200));
        assert_eq!((write.method, write.expected.status), (Method::PUT, 204));
        assert!(read.body.is_empty() && !write.body.is_empty());
    }
}
