//! The first request ever to each of many packages.

use std::sync::Arc;

use anyhow::Context;

use super::fleet::Fleet;
use crate::{
    cli::RunArgs,
    client,
    plan::{MAX_DURATION, Pace, Plan, Protocol},
    proc::Usage,
    progress::Progress,
    report::table,
    workload::Workload,
};

/// The rate unless one is given: a start is over long before the next is due,
/// so that the latency is the start and not a queue.
const DEFAULT_RATE: f64 = 200.0;
/// One that asks and one that takes what becomes due during a slow start;
/// more would put the first request of a connection among the slowest.
const CONNECTIONS: usize = 2;

/// Compiles every package, starts the gateway anew so that none is loaded,
/// and asks each once.
pub(super) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    // One package more than measured: the extra one, the last, warms the
    // code common to all and gives the answer that all must give.
    let count = arguments.packages.packages;
    let plan = plan(arguments)?;
    let fleet = Fleet::of_copies(arguments, count + 1)?.restart(arguments)?;
    let mut exchanges = fleet.exchanges(arguments.load.timeout)?;
    exchanges.truncate(count);
    let workload = Workload::each_in_turn(exchanges).context("no package")?;
    let gateway = &fleet.gateway.peer;
    let before = Usage::of(gateway.pid())?;
    let progress = Progress::on_terminal();
    let seen = client::drive(&gateway.target, &Arc::new(workload), &plan, progress)?;
    let used = Usage::of(gateway.pid())?.per_request(&before, count as u64);
    let summary = seen.summary();
    if arguments.json {
        let whole = serde_json::json!({
            "packages": count,
            "result": summary,
            "cpu_us_per_start": used.cpu_us,
            "minor_faults_per_start": used.minor_faults,
        });
        println!("{}", serde_json::to_string_pretty(&whole)?);
    } else {
        println!("cold: the first request ever to each of {count} packages, files cached");
        print!("{}", table::summary(&summary, &plan));
        println!(
            "each start: {:.0} µs of processor time, {:.1} page faults",
            used.cpu_us, used.minor_faults
        );
    }
    Ok(())
}

/// Each package once, at a low rate or, with `--closed`, one after the other.
fn plan(arguments: &RunArgs) -> anyhow::Result<Plan> {
    let count = arguments.packages.packages;
    let (pace, connections) = if arguments.closed {
        (Pace::Closed, 1)
    } else {
        let requests_per_second = arguments.load.rate.unwrap_or(DEFAULT_RATE);
        anyhow::ensure!(
            (count as f64) < requests_per_second * MAX_DURATION.as_secs_f64(),
            "{count} packages at --rate {requests_per_second} take longer than an hour"
        );
        let pace = Pace::Open {
            requests_per_second,
        };
        (pace, CONNECTIONS)
    };
    Ok(Plan {
        protocol: Protocol::Http1,
        pace,
        connections,
        threads: 1,
        streams: 1,
        requests: Some(count as u64),
        duration: MAX_DURATION,
        timeout: arguments.load.timeout,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn plan_of(flags: &[&str]) -> anyhow::Result<Plan> {
        let words = ["wasmgate-loadtest", "run", "cold"].iter().chain(flags);
        let Command::Run(arguments) = Cli::try_parse_from(words)?.command else {
            anyhow::bail!("not a run");
        };
        plan(&arguments)
    }

    #[test]
    fn first_requests_come_at_a_low_rate_unless_told_otherwise() {
        let rate = |flags: &[&str]| match plan_of(flags).unwrap().pace {
            Pace::Open {
                requests_per_second,
            } => Some(requests_per_second),
            Pace::Closed => None,
        };
        assert_eq!(rate(&[]), Some(DEFAULT_RATE));
        assert_eq!(rate(&["--rate", "50"]), Some(50.0));
        assert_eq!(rate(&["--closed"]), None);
        assert!(plan_of(&["--closed", "--rate", "50"]).is_err());
    }

    #[test]
    fn every_package_is_due_within_the_longest_load() {
        let plan = plan_of(&["--packages", "1000"]).unwrap();
        assert_eq!(plan.requests, Some(1000));
        assert!(plan_of(&["--packages", "100000", "--rate", "1"]).is_err());
    }
}
