//! A good package's latency, with and without a spinning package beside it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::Context;

use super::{
    fleet::{Fleet, SPIN_PATH},
    pairs,
};
use crate::{
    cli::RunArgs,
    client,
    plan::{Pace, Plan},
    progress::Progress,
    workload::{Exchange, Workload},
};

/// The good package's rate unless one is given: far from its maximum, so that
/// what is seen is the neighbour and not a queue.
const DEFAULT_RATE: f64 = 500.0;
/// The spinning package's deadline: many epoch ticks, and short enough that
/// each quiet round begins with the spinning ended.
const SPIN_DEADLINE: Duration = Duration::from_millis(500);

/// Interleaves quiet rounds with rounds in which the neighbour spins.
pub(super) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    let fleet = Fleet::with_spinner(arguments, SPIN_DEADLINE)?;
    let gateway = &fleet.gateway.peer;
    let timeout = arguments.load.timeout;
    let good = fleet.exchange_of("good", timeout)?;
    let good = Arc::new(Workload::one(good));
    let mut spin = Exchange::get(SPIN_PATH);
    spin.expected.status = 504;
    let answer = client::probe(
        &gateway.target,
        &spin,
        arguments.load.plan().protocol,
        timeout,
    )?;
    anyhow::ensure!(
        answer.status == 504,
        "the spinning package answered {}, not 504 (deadline)",
        answer.status
    );
    let spin = Arc::new(Workload::one(spin));

    let mut plan = arguments.load.plan();
    if plan.pace == Pace::Closed {
        plan.pace = Pace::Open {
            requests_per_second: DEFAULT_RATE,
        };
    }
    let noise = Plan {
        pace: Pace::Closed,
        connections: arguments.packages.spinners,
        threads: 1,
        duration: SPIN_DEADLINE,
        ..plan.clone()
    };
    noise.check().context("--spinners")?;
    let pairs = pairs::run(arguments.packages.rounds, |second| {
        let over = AtomicBool::new(!second);
        thread::scope(|scope| {
            // Short loads one after the other, until the good one's is over.
            let spinning = scope.spawn(|| {
                while !over.load(Relaxed) {
                    client::drive(&gateway.target, &spin, &noise, Progress::Silent)?;
                }
                anyhow::Ok(())
            });
            let seen = pairs::measure(gateway, &good, &plan, arguments.warmup);
            over.store(true, Relaxed);
            match spinning.join() {
                Ok(ended) => ended.and(seen),
                Err(_) => anyhow::bail!("the spinning load ended early"),
            }
        })
    })?;
    let name = format!(
        "a good package beside {} spinning request(s)",
        arguments.packages.spinners
    );
    pairs::print(&pairs, &name, ["quiet", "noisy"], arguments.json)
}
