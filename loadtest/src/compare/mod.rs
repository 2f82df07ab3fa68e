//! `wasmgate-loadtest compare`: servers side by side on one machine, in
//! interleaved rounds, with one of them measured twice as a control.

mod field;
mod rounds;

use std::{fs, time::Duration};

use anyhow::Context;

pub(crate) use self::field::{Contender, FRESH, TUNED_WASMTIME, serve, version};
use self::{field::Field, rounds::Rounds};
use crate::{
    cli::CompareArgs,
    confidence::{Interval, interval, median, ratios},
    plan::{Pace, Plan},
    proc,
    report::{html, table},
};

/// Time for the machine to settle between two servers.
const SETTLE: Duration = Duration::from_millis(50);
/// More rounds than this measure patience.
pub(crate) const MAX_ROUNDS: usize = 1000;

/// Every number of a comparison.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Comparison {
    pub(crate) about: About,
    /// As fast as answers come.
    pub(crate) closed: Vec<Standing>,
    /// At a fixed rate; empty when it was left out.
    pub(crate) open: Vec<Standing>,
    /// The fixed rate, in requests a second.
    pub(crate) open_rate: f64,
    /// Servers that were not measured, and why.
    pub(crate) left_out: Vec<String>,
}

/// The facts a reader needs to repeat it.
#[derive(Debug, serde::Serialize)]
pub(crate) struct About {
    pub(crate) path: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) rounds: usize,
    pub(crate) plan: Plan,
    pub(crate) versions: Vec<String>,
}

/// One server's results over all rounds.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Standing {
    pub(crate) name: String,
    pub(crate) rounds: Vec<Round>,
    pub(crate) medians: Round,
    /// The first server's requests a second over this one's.
    pub(crate) rate_ratio: Interval,
    /// The first server's p99 over this one's.
    pub p99_ratio: Interval,
    /// This one's processor time a request over the first server's.
    pub(crate) cpu_ratio: Interval,
    pub(crate) peak_resident_bytes: u64,
    /// Latency in milliseconds at rising percentiles, all rounds together.
    pub(crate) curve: Vec<(f64, f64)>,
}

/// One server in one round.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct Round {
    pub(crate) requests_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub(crate) cpu_us_per_request: f64,
    pub(crate) minor_faults_per_request: f64,
    pub(crate) voluntary_switches_per_request: f64,
    /// Processor time of the load generator, which the server does without.
    pub(crate) load_cpu_us_per_request: f64,
    pub(crate) errors: u64,
}

/// Runs the comparison, prints the table, writes what was asked for.
///
/// # Errors
/// When no two servers can be started, or a report cannot be written.
pub(crate) fn run(arguments: &CompareArgs) -> anyhow::Result<()> {
    let plan = arguments.plan();
    plan.check()?;
    anyhow::ensure!(
        (1..=MAX_ROUNDS).contains(&arguments.rounds),
        "--rounds {} is outside 1 to {MAX_ROUNDS}",
        arguments.rounds
    );
    anyhow::ensure!(
        (0.0..=1.0).contains(&arguments.open_at),
        "--open-at {} is outside 0 to 1",
        arguments.open_at
    );
    let field = Field::start(arguments, &plan)?;
    for word in &field.left_out {
        eprintln!("left out: {word}");
    }
    let comparison = measure(arguments, &plan, field)?;
    print!("{}", table::comparison(&comparison));
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&comparison)?;
        fs::write(file, text).with_context(|| format!("{}", file.display()))?;
    }
    if let Some(file) = &arguments.html {
        fs::write(file, html::page(&comparison)).with_context(|| format!("{}", file.display()))?;
        eprintln!("report: {}", file.display());
    }
    Ok(())
}

fn measure(arguments: &CompareArgs, plan: &Plan, mut field: Field) -> anyhow::Result<Comparison> {
    let contenders: Vec<&Contender> = field.contenders.iter().collect();
    let closed = standings(&contenders, plan, arguments.rounds, arguments.warmup)?;

    let own_maximum = closed
        .first()
        .map_or(0.0, |first| first.medians.requests_per_second);
    let open_rate = own_maximum * arguments.open_at;
    let open = if open_rate > 0.0 {
        let able: Vec<&Contender> = contenders
            .iter()
            .zip(&closed)
            .filter(|(_, standing)| too_slow(standing, open_rate).is_none())
            .map(|(contender, _)| *contender)
            .collect();
        let pace = Pace::Open {
            requests_per_second: open_rate,
        };
        let plan = Plan {
            pace,
            ..plan.clone()
        };
        standings(&able, &plan, arguments.rounds, arguments.warmup)?
    } else {
        Vec::new()
    };
    let slow = closed
        .iter()
        .filter_map(|standing| too_slow(standing, open_rate));
    field.left_out.extend(slow);
    Ok(Comparison {
        about: About {
            path: arguments.gateway.path.clone(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            rounds: arguments.rounds,
            plan: plan.clone(),
            versions: field.versions,
        },
        closed,
        open,
        open_rate,
        left_out: field.left_out,
    })
}

/// Explains why a server is not measured at a rate: one that cannot keep up would only
/// show how long its queue became.
fn too_slow(standing: &Standing, rate: f64) -> Option<String> {
    let maximum = standing.medians.requests_per_second;
    (maximum < rate).then(|| {
        format!(
            "{} of the open loop at {rate:.0} requests/s: its maximum is {maximum:.0}",
            standing.name
        )
    })
}

/// Measures servers in interleaved rounds; ratios are those of the first to each.
///
/// # Errors
/// When the load cannot be run, or a server has ended.
pub(crate) fn standings(
    contenders: &[&Contender],
    plan: &Plan,
    rounds: usize,
    warmup: Duration,
) -> anyhow::Result<Vec<Standing>> {
    let all = rounds::run(contenders, plan, rounds, warmup)?;
    let column =
        |rounds: &Rounds<'_>, value: fn(&Round) -> f64| -> Vec<f64> { rounds.rounds.iter().map(value).collect() };
    let rate: fn(&Round) -> f64 = |round| round.requests_per_second;
    let p99: fn(&Round) -> f64 = |round| round.p99_ms;
    let cpu: fn(&Round) -> f64 = |round| round.cpu_us_per_request;
    let first = all
        .first()
        .map(|first| (column(first, rate), column(first, p99), column(first, cpu)))
        .context("no server was measured")?;
    all.into_iter()
        .map(|rounds| {
            let middle = |value: fn(&Round) -> f64| median(&column(&rounds, value));
            Ok(Standing {
                medians: Round {
                    requests_per_second: middle(rate),
                    p50_ms: middle(|round| round.p50_ms),
                    p99_ms: middle(p99),
                    cpu_us_per_request: middle(cpu),
                    minor_faults_per_request: middle(|round| round.minor_faults_per_request),
                    voluntary_switches_per_request: middle(|round| round.voluntary_switches_per_request),
                    load_cpu_us_per_request: middle(|round| round.load_cpu_us_per_request),
                    errors: rounds.rounds.iter().map(|round| round.errors).sum(),
                },
                rate_ratio: interval(&ratios(&first.0, &column(&rounds, rate))),
                p99_ratio: interval(&ratios(&first.1, &column(&rounds, p99))),
                cpu_ratio: interval(&ratios(&column(&rounds, cpu), &first.2)),
                peak_resident_bytes: proc::peak_resident(rounds.contender.pid)?,
                curve: rounds.curve(),
                name: rounds.contender.name.clone(),
                rounds: rounds.rounds,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_keep_the_rate_is_left_out_with_its_maximum() {
        let standing = Standing {
            name: "slow".to_owned(),
            rounds: Vec::new(),
            medians: Round {
                requests_per_second: 900.0,
                ..Round::default()
            },
            rate_ratio: interval(&[1.0]),
            p99_ratio: interval(&[1.0]),
            cpu_ratio: interval(&[1.0]),
            peak_resident_bytes: 0,
            curve: Vec::new(),
        };
        assert_eq!(too_slow(&standing, 900.0), None);
        let said = too_slow(&standing, 1000.0).unwrap();
        assert!(said.contains("slow") && said.contains("1000") && said.contains("900"));
    }
}
