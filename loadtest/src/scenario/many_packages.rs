//! Zipf-distributed requests over many packages, beside one package alone.

use std::sync::Arc;

use anyhow::Context;

use super::{fleet::Fleet, pairs};
use crate::{cli::RunArgs, workload::Workload};

/// Interleaves rounds of all packages with rounds of the first one alone.
pub(super) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    let count = arguments.packages.packages;
    let fleet = Fleet::of_copies(arguments, count)?;
    let exchanges = fleet.exchanges(arguments.load.timeout)?;
    let one = Workload::one(exchanges.first().context("no package")?.clone());
    let many = Workload::zipf(exchanges, arguments.packages.zipf).context("no package")?;
    let (one, many) = (Arc::new(one), Arc::new(many));
    let gateway = &fleet.gateway.peer;
    let plan = arguments.load.plan();
    let pairs = pairs::run(arguments.packages.rounds, |second| {
        let workload = if second { &many } else { &one };
        pairs::measure(gateway, workload, &plan, arguments.warmup)
    })?;
    let name = format!(
        "{count} packages, Zipf {}, against one package",
        arguments.packages.zipf
    );
    pairs::print(&pairs, &name, ["one", "many"], arguments.json)
}
