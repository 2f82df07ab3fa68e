//! Memory per package: registered only, then loaded and idle.

use std::sync::Arc;

use anyhow::Context;

use super::fleet::Fleet;
use crate::{
    cli::RunArgs,
    client,
    plan::{MAX_DURATION, Pace, Plan},
    proc::Memory,
    progress::Progress,
    report::table,
    workload::Workload,
};

/// Measures a gateway of one package, then one of many: the difference is
/// what the packages cost.
pub(super) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    let count = arguments.packages.packages;
    anyhow::ensure!(
        count > 1,
        "--packages {count}: density compares one package with more"
    );
    let alone = Fleet::of_copies(arguments, 1)?.restart(arguments)?;
    let alone_registered = Memory::of(alone.gateway.peer.pid())?;
    load_each(&alone, arguments)?;
    let alone_loaded = Memory::of(alone.gateway.peer.pid())?;
    drop(alone);

    let many = Fleet::of_copies(arguments, count)?.restart(arguments)?;
    let registered = Memory::of(many.gateway.peer.pid())?;
    let failed = load_each(&many, arguments)?;
    let loaded = Memory::of(many.gateway.peer.pid())?;

    let extra = count.saturating_sub(1);
    let registered_each = registered.each_since(&alone_registered, extra);
    let loaded_each = loaded.each_since(&alone_loaded, extra);
    if arguments.json {
        let whole = serde_json::json!({
            "packages": count,
            "failed_requests": failed,
            "one": {"registered": alone_registered, "loaded": alone_loaded},
            "all": {"registered": registered, "loaded": loaded},
            "each": {"registered": registered_each, "loaded": loaded_each},
        });
        println!("{}", serde_json::to_string_pretty(&whole)?);
        return Ok(());
    }
    let kb = |bytes: u64| format!("{:.1}", bytes as f64 / 1024.0);
    let row = |name: &str, memory: Memory| {
        vec![
            name.to_owned(),
            kb(memory.anonymous),
            kb(memory.mapped),
            kb(memory.resident),
        ]
    };
    let heads = ["KiB", "private", "mapped code, reclaimable", "all resident"];
    print!(
        "density: {count} packages, {failed} failed requests while loading\n{}\
         each more package: what {count} take less what one takes, shared out over {extra}\n",
        table::grid(&[
            heads.map(str::to_owned).to_vec(),
            row("one package, registered", alone_registered),
            row("one package, loaded", alone_loaded),
            row(&format!("{count} packages, registered"), registered),
            row(&format!("{count} packages, loaded"), loaded),
            row("each more package, registered", registered_each),
            row("each more package, loaded", loaded_each),
        ])
    );
    Ok(())
}

/// Asks each package once and waits for rest; how many requests failed.
fn load_each(fleet: &Fleet, arguments: &RunArgs) -> anyhow::Result<u64> {
    let exchanges = fleet.exchanges(arguments.load.timeout)?;
    let plan = Plan {
        pace: Pace::Closed,
        connections: 1,
        threads: 1,
        requests: Some(exchanges.len() as u64),
        duration: MAX_DURATION,
        timeout: arguments.load.timeout,
        ..Plan::default()
    };
    let workload = Arc::new(Workload::each_in_turn(exchanges).context("no package")?);
    let target = &fleet.gateway.peer.target;
    let seen = client::drive(target, &workload, &plan, Progress::on_terminal())?;
    fleet.wait_for_rest()?;
    Ok(seen.errors.total())
}
