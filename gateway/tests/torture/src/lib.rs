//! Hostile guests and hostile clients, each beside a good package that is to notice nothing.
//!
//! A case is a few lines in a table: [`guests`], [`clients`]. Each is tried on a running gateway while a good package
//! is asked as well; what both got, and what the gateway used before, during and after it, is a [`Row`]. A case that
//! the gateway does not bear yet is told as open, with the harm that was measured.
//! [`smuggling`] is a corpus of requests of two meanings, [`shapes`] one of components that are refused, [`faults`] a
//! long run in which everything fails now and then.
#![allow(
    missing_docs,
    reason = "a test's own library: its fields are columns of a table"
)]

mod case;
pub mod clients;
pub mod faults;
pub mod guests;
mod http1;
mod http2;
mod neighbour;
pub mod report;
mod script;
pub mod shapes;
pub mod smuggling;
mod victim;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;

pub use case::{Case, Row, Verdict};
pub use report::table;
pub use victim::{Setup, Victim};

/// How much is asked of the good package in each case, and how patient the gateway is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Requests during the attack.
    pub requests: usize,
    /// Requests before it.
    pub alone: usize,
    /// Requests a second.
    pub rate: usize,
    /// The gateway's time-outs: of a request, and of a head.
    pub timeout: Duration,
    /// How long an attack may last after the good package's requests until it got a first answer.
    pub overtime: Duration,
}

/// A thousand requests in each case.
pub const WHOLE: Pace = Pace {
    requests: 1000,
    alone: 1000,
    rate: 1000,
    timeout: Duration::from_secs(2),
    overtime: Duration::from_secs(5),
};

/// The form for every run of the tests.
pub const BRIEF: Pace = Pace {
    requests: 40,
    alone: 10,
    rate: 400,
    timeout: Duration::from_millis(500),
    overtime: Duration::from_secs(1),
};

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The gateway.
    pub gateway: PathBuf,
    /// The folder of the test guests.
    pub guests: PathBuf,
    /// A folder for compiled code that lasts.
    pub cache: Option<PathBuf>,
}

/// Tries every case whose name has `only` in it, one after the other, and gives each row to `told` as it is there.
///
/// # Errors
/// When the gateway does not start.
pub async fn run(programs: &Programs, pace: Pace, only: &str, mut told: impl FnMut(&Row)) -> Result<Vec<Row>> {
    let mut setup = guests::setup(programs, pace);
    for (name, _, bytes) in shapes::hostile_at_work()? {
        setup.component(name, bytes);
    }
    let mut victim = Victim::start(&setup).await?;
    let mut rows = Vec::new();
    let cases = guests::all()
        .into_iter()
        .chain(guests::shapes()?)
        .chain(clients::all());
    for (number, case) in cases.filter(|case| case.name.contains(only)).enumerate() {
        let row = case::attempt(&mut victim, &case, pace, number).await;
        told(&row);
        if row.died {
            victim = Victim::start(&setup).await?;
        }
        rows.push(row);
    }
    Ok(rows)
}
