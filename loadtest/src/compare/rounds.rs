//! Interleaved rounds: in each, every server is measured once, in turning order.

use std::{
    io::{IsTerminal, Write},
    thread,
    time::Duration,
};

use super::{Round, SETTLE, field::Contender};
use crate::{
    client,
    plan::{Pace, Plan},
    proc::Usage,
    progress::Progress,
    stats::Measurement,
};

/// The percentiles of a latency curve.
const CURVE: [f64; 12] = [
    1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 100.0,
];

/// One server's rounds.
pub(super) struct Rounds<'a> {
    pub(super) contender: &'a Contender,
    pub(super) rounds: Vec<Round>,
    whole: Measurement,
}

impl Rounds<'_> {
    /// (percentile, milliseconds) over all rounds together.
    pub(super) fn curve(&self) -> Vec<(f64, f64)> {
        CURVE
            .iter()
            .map(|at| (*at, self.whole.latency(*at).as_secs_f64() * 1e3))
            .collect()
    }
}

/// The cost of a request on both sides.
struct Used {
    server: Usage,
    load: Usage,
}

/// Measures every contender once a round. The order turns by one each round,
/// so that none always follows the same neighbour.
pub(super) fn run<'a>(
    contenders: &[&'a Contender],
    plan: &Plan,
    count: usize,
    warmup: Duration,
) -> anyhow::Result<Vec<Rounds<'a>>> {
    let mut all = Vec::with_capacity(contenders.len());
    for contender in contenders {
        all.push(Rounds {
            contender,
            rounds: Vec::with_capacity(count),
            whole: Measurement::new()?,
        });
    }
    for round in 0..count {
        let turn = round % all.len().max(1);
        for step in 0..all.len() {
            let index = (turn + step) % all.len();
            if let Some(rounds) = all.get_mut(index) {
                say(plan, round, count, &rounds.contender.name);
                let (seen, used) = one(rounds.contender, plan, warmup)?;
                rounds.rounds.push(round_of(&seen, &used));
                rounds.whole.merge(&seen);
            }
        }
    }
    say_nothing();
    Ok(all)
}

fn one(contender: &Contender, plan: &Plan, warmup: Duration) -> anyhow::Result<(Measurement, Used)> {
    thread::sleep(SETTLE);
    let Contender {
        target, workload, ..
    } = contender;
    if !warmup.is_zero() {
        let warmup = Plan {
            duration: warmup,
            ..plan.clone()
        };
        client::drive(target, workload, &warmup, Progress::Silent)?;
    }
    let usage = || anyhow::Ok((Usage::of(contender.pid)?, Usage::of(std::process::id())?));
    let (server, load) = usage()?;
    let seen = client::drive(target, workload, plan, Progress::Silent)?;
    let after = usage()?;
    let used = Used {
        server: after.0.per_request(&server, seen.answered),
        load: after.1.per_request(&load, seen.answered),
    };
    Ok((seen, used))
}

fn round_of(seen: &Measurement, used: &Used) -> Round {
    let Used { server, load } = used;
    Round {
        requests_per_second: seen.requests_per_second(),
        p50_ms: seen.latency(50.0).as_secs_f64() * 1e3,
        p99_ms: seen.latency(99.0).as_secs_f64() * 1e3,
        cpu_us_per_request: server.cpu_us,
        minor_faults_per_request: server.minor_faults,
        voluntary_switches_per_request: server.voluntary_switches,
        load_cpu_us_per_request: load.cpu_us,
        errors: seen.errors.total(),
    }
}

fn say(plan: &Plan, round: usize, count: usize, name: &str) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let pace = match plan.pace {
            Pace::Closed => "closed loop".to_owned(),
            Pace::Open {
                requests_per_second,
            } => format!("{requests_per_second:.0} req/s"),
        };
        let _ = write!(
            out,
            "\r\x1b[2K{pace}, round {} of {count}: {name}",
            round + 1
        );
        let _ = out.flush();
    }
}

fn say_nothing() {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r\x1b[2K");
    }
}
