//! A long run in which everything fails now and then: guests trap, spin and hang, clients go, the disk is full,
//! descriptors are short, the process stands still, the configuration is another, the sidecar of a second gateway ends,
//! and upstreams break off. No answer may be wrong, and nothing may be left.

mod lane;
mod machine;
mod reloads;
mod sidecar;
mod spell;
mod upstream;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Programs, http1, neighbour,
    victim::{Setup, Usage, Victim},
};
use lane::Lane;
use machine::Disk;
use sidecar::Sidecar;
use spell::{Spell, Waits};

/// Clients at once.
const LANES: usize = 32;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Things that went wrong that are kept; the rest is counted.
const KEPT: usize = 50;

/// Descriptors that may be left: connections that are kept for the next request.
const SPARE: u64 = 16;

/// The most bytes that the second half of a run may add to the first.
const GROWTH: u64 = 64 << 20;

/// What became of a run.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The seed that decided requests and faults.
    pub seed: u64,
    /// The time of the whole run.
    pub took: Duration,
    /// Answers, by what was asked and what came.
    pub answers: BTreeMap<String, u64>,
    /// Faults by their kinds.
    pub faults: BTreeMap<&'static str, u64>,
    /// What the gateway counts of reloads.
    pub reloads: Vec<String>,
    /// What the gateway held once every package was loaded.
    pub before: Usage,
    /// The same after half of the requests.
    pub halfway: Usage,
    /// The same at the end.
    pub after: Usage,
    /// What should not have been.
    pub wrong: Vec<String>,
}

/// What the lanes share.
struct Run {
    told: Mutex<Told>,
    /// Faults are at work, or were a moment ago.
    forgiving: Spell,
    /// The sidecar is not there, or was not a moment ago.
    sidecar_away: Spell,
    /// What the workers of the main gateway waited for a processor.
    waits: Arc<Waits>,
    over: AtomicBool,
}

/// Where lanes send their requests.
#[derive(Clone, Copy)]
struct Addresses {
    main: SocketAddr,
    beside: SocketAddr,
    upstream: SocketAddr,
}

/// Sends so many requests, with faults that a seed decides.
///
/// # Errors
/// When a gateway does not start.
pub async fn run(programs: &Programs, requests: usize, seed: u64) -> Result<Told> {
    let disk = Disk::mount()?;
    let upstream = upstream::start(Rng::with_seed(seed ^ 3)).await?;
    let setup = setup(programs, disk.path(), upstream);
    let mut victim = Victim::start(&setup).await?;
    let (sidecar, mut beside) = Sidecar::start(programs).await?;
    let addresses = Addresses {
        main: victim.address,
        beside: beside.address,
        upstream,
    };
    let start = Instant::now();
    let run = Arc::new(Run {
        told: Mutex::default(),
        forgiving: Spell::default(),
        sidecar_away: Spell::default(),
        waits: Arc::default(),
        over: AtomicBool::new(false),
    });
    run.told.lock().seed = seed;
    // Every package is loaded once before the count begins.
    lanes(addresses, &run, LANES * 40, seed).await;
    let (before, beside_before) = (victim.usage().await, beside.usage().await);
    let random = || Rng::with_seed(seed);
    let mut faults = JoinSet::new();
    let at = (victim.pid(), victim.address);
    faults.spawn(Arc::clone(&run.waits).watch(Arc::clone(&run), victim.pid()));
    let room = disk.path().map(Path::to_owned);
    faults.spawn(machine::run(Arc::clone(&run), at, room, random()));
    faults.spawn(reloads::run(
        Arc::clone(&run),
        victim.site(),
        setup,
        random(),
    ));
    let sidecar = tokio::spawn(sidecar.restarts(Arc::clone(&run), beside.admin, random()));
    lanes(addresses, &run, requests / 2, seed ^ 1).await;
    let halfway = victim.usage().await;
    lanes(addresses, &run, requests - requests / 2, seed ^ 2).await;
    run.over.store(true, Ordering::Relaxed);
    while faults.join_next().await.is_some() {}
    let _sidecar = sidecar.await?;
    // Afterwards all is as it was.
    lanes(addresses, &run, LANES * 10, seed ^ 4).await;
    let after = settled(&victim, &before).await;
    let beside_after = settled(&beside, &beside_before).await;
    let mut told = run.told.lock().clone();
    told.took = start.elapsed();
    (told.before, told.halfway, told.after) = (before, halfway, after);
    told.reloads = reloads_of(&victim).await;
    judge(&mut told, &mut victim);
    judge_process(&mut told.wrong, &mut beside, beside_before, beside_after);
    Ok(told)
}

/// Counts a fault.
fn count(run: &Run, kind: &'static str) {
    *run.told.lock().faults.entry(kind).or_insert(0) += 1;
}

fn setup(programs: &Programs, disk: Option<&Path>, upstream: SocketAddr) -> Setup {
    let mut setup = Setup::new(programs);
    setup.limits = "timeout = \"20s\"\nmemory = \"32MiB\"".to_owned();
    let data = disk.map_or_else(|| "data".into(), |disk| disk.join("data"));
    setup.dapr = format!("mode = \"embedded\"\ndata = '{}'", data.display());
    setup.guest(neighbour::NAME, "hello", "");
    for (name, example) in [
        ("echo", "echo"),
        ("counter", "counter"),
        ("panics", "panics"),
        ("exits", "exits"),
        ("tenth", "traps_on_every_tenth"),
        ("dies", "dies_after_its_head"),
        ("streams", "sends_bytes"),
    ] {
        setup.guest(name, example, "");
    }
    setup.guest("spins", "spins", "limits = { timeout = \"50ms\" }");
    setup.guest("hangs", "hangs", "limits = { timeout = \"100ms\" }");
    setup.guest("state", "calls_dapr", "dapr = { state = [\"statestore\"] }");
    let outbound = format!("outbound = [\"http://{upstream}\"]");
    setup.guest("out", "calls_out", &outbound);
    setup
}

async fn lanes(addresses: Addresses, run: &Arc<Run>, requests: usize, seed: u64) {
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let mut lane = Lane::new(run, addresses, seed, lane as u64);
        lanes.spawn(async move {
            for _ in 0..requests / LANES {
                lane.request().await;
            }
        });
    }
    while lanes.join_next().await.is_some() {}
}

async fn settled(victim: &Victim, before: &Usage) -> Usage {
    let start = Instant::now();
    loop {
        let now = victim.usage().await;
        let back = now.slots <= before.slots && now.instances <= before.instances;
        if back && now.descriptors <= before.descriptors + SPARE || start.elapsed() > PATIENCE {
            return now;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The reloads that a gateway has done and refused, as its metrics tell them.
async fn reloads_of(victim: &Victim) -> Vec<String> {
    let metrics = http1::get(victim.admin, "/metrics")
        .await
        .unwrap_or_default();
    let lines = metrics.lines();
    let reloads = lines.filter(|line| line.starts_with("wasmgate_reloads_total{"));
    reloads.map(str::to_owned).collect()
}

fn judge(told: &mut Told, victim: &mut Victim) {
    let (before, halfway, after) = (told.before, told.halfway, told.after);
    judge_process(&mut told.wrong, victim, before, after);
    if after.resident > halfway.resident.max(before.resident) + GROWTH {
        let grown = (after.resident - halfway.resident) >> 20;
        told.wrong
            .push(format!("the second half added {grown} MiB"));
    }
    let wanted = told.faults.get("reload").copied().unwrap_or_default();
    if wanted > 0 && told.reloads.is_empty() {
        told.wrong
            .push(format!("of {wanted} reloads none is counted"));
    }
}

/// What is left of a process that is to be as it was.
fn judge_process(wrong: &mut Vec<String>, victim: &mut Victim, before: Usage, after: Usage) {
    if let Some(ended) = victim.ended() {
        wrong.push(format!("the gateway ended: {ended}"));
    }
    let log = victim.log();
    let panics = log.iter().filter(|line| line.starts_with("thread '"));
    wrong.extend(panics.map(|line| format!("a panic: {line}")));
    if after.slots > before.slots || after.instances > before.instances {
        let Usage {
            slots, instances, ..
        } = after;
        wrong.push(format!("{slots} slots and {instances} instances are left"));
    }
    if after.descriptors > before.descriptors + SPARE {
        let (left, of) = (after.descriptors, before.descriptors);
        wrong.push(format!("{left} descriptors are left of {of}"));
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests: u64 = self.answers.values().sum();
        writeln!(
            f,
            "{requests} requests in {:.0} s, seed {}",
            self.took.as_secs_f64(),
            self.seed
        )?;
        for (answer, count) in &self.answers {
            writeln!(f, "  {answer}: {count}")?;
        }
        writeln!(f, "faults: {:?}", self.faults)?;
        for line in &self.reloads {
            writeln!(f, "  {line}")?;
        }
        for (when, usage) in [
            ("before", self.before),
            ("halfway", self.halfway),
            ("after", self.after),
        ] {
            let Usage {
                resident,
                descriptors,
                slots,
                instances,
                ..
            } = usage;
            writeln!(
                f,
                "{when}: {} MiB resident, {descriptors} descriptors, {slots} slots, {instances} instances",
                resident >> 20
            )?;
        }
        writeln!(f, "{} things went wrong", self.wrong.len())?;
        for wrong in &self.wrong {
            writeln!(f, "  {wrong}")?;
        }
        Ok(())
    }
}
