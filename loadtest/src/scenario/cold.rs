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

/// Compiles every package, starts the gateway anew so that none is loaded,
/// and asks each once, one after the other over one connection: nothing but
/// the cold start is in the latency.
pub(super) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    // One package more than measured: the extra one, the last, warms the
    // code common to all and gives the answer that all must give.
    let count = arguments.packages.packages;
    let fleet = Fleet::of_copies(arguments, count + 1)?.restart(arguments)?;
    let mut exchanges = fleet.exchanges(arguments.load.timeout)?;
    exchanges.truncate(count);
    let workload = Workload::each_in_turn(exchanges).context("no package")?;
    let plan = Plan {
        protocol: Protocol::Http1,
        pace: Pace::Closed,
        connections: 1,
        threads: 1,
        streams: 1,
        requests: Some(count as u64),
        duration: MAX_DURATION,
        timeout: arguments.load.timeout,
    };
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
