//! The scenarios that are one request over and over: what is sent, and how
//! the right answer is learned.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::json;

use super::Scenario;
use crate::{
    client::{LoadError, probe},
    plan::Protocol,
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
pub enum LearnError {
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

/// The request of a scenario to `target`. A target without a path gets the
/// scenario's own. Scenarios that need many packages have none and get `None`.
#[must_use]
pub fn workload(scenario: Scenario, target: &Target, direction: Direction) -> Option<Exchange> {
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
pub fn learn(
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
