//! `wasmgate-loadtest languages`: hello in each language, Wasmgate beside `wasmtime serve` on the same component.

mod rows;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};

pub(crate) use self::rows::Chosen;
use self::rows::{Against, Instances, ROWS, Row};
use crate::{
    cli::{GatewayArgs, LanguagesArgs},
    client,
    compare::{self, Contender, Standing},
    confidence::Interval,
    gateway::{self, Gateway, Package},
    peers::{self, Peer},
    plan::{Pace, Plan},
    report,
    workload::Exchange,
};

/// Every number of a run.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Languages {
    pub(crate) cores: usize,
    pub(crate) rounds: usize,
    pub(crate) versions: Vec<String>,
    pub(crate) results: Vec<LanguageResult>,
    /// Languages that were not measured, and why.
    pub(crate) left_out: Vec<String>,
}

/// One language's numbers.
#[derive(Debug, serde::Serialize)]
pub(crate) struct LanguageResult {
    pub(crate) name: &'static str,
    /// As fast as answers come; Wasmgate first.
    pub(crate) closed: Vec<Standing>,
    /// At a fixed rate; empty when it was left out.
    pub(crate) open: Vec<Standing>,
    /// The fixed rate, in requests a second.
    pub(crate) open_rate: f64,
    /// One for each peer.
    pub(crate) verdicts: Vec<Verdict>,
}

/// What a peer takes beside Wasmgate.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Verdict {
    pub(crate) peer: String,
    /// Its processor time for a request over Wasmgate's.
    pub(crate) cpu_ratio: Interval,
    /// What that is to be at the least.
    pub(crate) target: Option<f64>,
    /// Wasmgate's p99 over its own at the fixed rate; at most 1 is what is asked.
    pub(crate) p99_ratio: Option<Interval>,
}

impl Verdict {
    /// Returns whether the processor's time is as it is to be, if anything is asked.
    pub(crate) fn is_met(&self) -> Option<bool> {
        Some(self.cpu_ratio.median >= self.target?)
    }
}

/// Runs what was chosen and prints the table.
///
/// # Errors
/// When nothing can be measured, or a report cannot be written.
pub(crate) fn run(arguments: &LanguagesArgs) -> anyhow::Result<()> {
    let plan = arguments.plan();
    plan.check()?;
    let rounds = arguments.rounds;
    ensure!(
        (1..=compare::MAX_ROUNDS).contains(&rounds),
        "--rounds {rounds} is outside 1 to {}",
        compare::MAX_ROUNDS
    );
    let share = arguments.open_at;
    ensure!(
        (0.0..=1.0).contains(&share),
        "--open-at {share} is outside 0 to 1"
    );
    let this = std::env::current_exe().context("this program's own path")?;
    let wasmtime = peers::find(
        "wasmtime",
        arguments.wasmtime.as_deref(),
        &this,
        "`make bench-peers` gets it",
    )?;
    let tools = Tools { this, wasmtime };
    let mut languages = Languages {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        rounds,
        versions: compare::version(&tools.wasmtime).into_iter().collect(),
        results: Vec::new(),
        left_out: Vec::new(),
    };
    for chosen in chosen(arguments) {
        match tools.measure(&chosen, arguments, &plan, &mut languages.versions) {
            Ok(result) => {
                eprint!("{}", report::languages::one(&result));
                languages.results.push(result);
            }
            Err(error) => {
                let words = format!("{}: {error:#}", chosen.row.name);
                eprintln!("left out: {words}");
                languages.left_out.push(words);
            }
        }
    }
    ensure!(!languages.results.is_empty(), "nothing was measured");
    print!("{}", report::languages::table(&languages));
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&languages)?;
        fs::write(file, text).with_context(|| format!("{}", file.display()))?;
    }
    Ok(())
}

/// What was asked for, or everything.
fn chosen(arguments: &LanguagesArgs) -> Vec<Chosen> {
    if !arguments.languages.is_empty() {
        return arguments.languages.clone();
    }
    let all = ROWS.iter().map(|row| Chosen { row, file: None });
    all.collect()
}

struct Tools {
    this: PathBuf,
    wasmtime: PathBuf,
}

impl Tools {
    fn measure(
        &self,
        chosen: &Chosen,
        arguments: &LanguagesArgs,
        plan: &Plan,
        versions: &mut Vec<String>,
    ) -> anyhow::Result<LanguageResult> {
        let row = chosen.row;
        let component = component(chosen, &arguments.guests)?;
        eprintln!(
            "{}: {} is compiled by each server",
            row.name,
            component.display()
        );
        let gateway = self.gateway(row, &component, arguments)?;
        if let Some(version) = compare::version(&gateway.program).filter(|version| !versions.contains(version)) {
            versions.push(version);
        }
        let peers = row
            .against
            .iter()
            .map(|against| self.peer(against, &component));
        let peers: Vec<Peer> = peers.collect::<Result<_, _>>()?;
        let answer = answer(&gateway.peer, row.path, plan)?;
        let servers = [&gateway.peer].into_iter().chain(&peers);
        let contenders: Vec<Contender> = servers
            .map(|server| Contender::new(server, row.path, &answer))
            .collect();
        let contenders: Vec<&Contender> = contenders.iter().collect();
        let (rounds, warmup) = (arguments.rounds, arguments.warmup);
        let closed = compare::standings(&contenders, plan, rounds, warmup)?;
        let open_rate = slowest(&closed) * arguments.open_at;
        let open = match open_rate > 0.0 {
            true => compare::standings(&contenders, &at(plan, open_rate), rounds, warmup)?,
            false => Vec::new(),
        };
        Ok(LanguageResult {
            name: row.name,
            verdicts: verdicts(row, &closed, &open),
            closed,
            open,
            open_rate,
        })
    }

    fn gateway(&self, row: &Row, component: &Path, arguments: &LanguagesArgs) -> anyhow::Result<Gateway> {
        let mut package = Package::new("hello", component.to_owned(), "", row.path);
        package.snapshot = row.snapshot;
        let given = GatewayArgs {
            gateway: arguments.gateway.clone(),
            component: component.to_owned(),
            path: row.path.to_owned(),
            workers: arguments.workers,
        };
        Ok(gateway::start(&self.this, &given, &[package])?)
    }

    fn peer(&self, against: &Against, component: &Path) -> Result<Peer, peers::PeerError> {
        let (name, flags) = match against.instances {
            Instances::Fresh => ("wasmtime serve", vec![compare::FRESH.into()]),
            Instances::Reused => ("wasmtime serve (reuses instances)", Vec::new()),
        };
        compare::serve(&self.wasmtime, name.to_owned(), flags, component.to_owned()).start(&self.this)
    }
}

fn component(chosen: &Chosen, guests: &Path) -> anyhow::Result<PathBuf> {
    let file = match &chosen.file {
        Some(file) => file.clone(),
        None => guests.join(format!("{}.wasm", chosen.row.guest)),
    };
    file.canonicalize().with_context(|| {
        format!(
            "{}; `loadtest/build-languages` builds the components",
            file.display()
        )
    })
}

/// What Wasmgate answers, which all must.
fn answer(gateway: &Peer, path: &str, plan: &Plan) -> anyhow::Result<String> {
    let answer = client::probe(
        &gateway.target,
        &Exchange::get(path),
        plan.protocol,
        plan.timeout,
    )?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status != 200 {
        bail!("Wasmgate answers {path} with {}: {text}", answer.status);
    }
    Ok(text)
}

fn slowest(closed: &[Standing]) -> f64 {
    let rates = closed
        .iter()
        .map(|standing| standing.medians.requests_per_second);
    rates.reduce(f64::min).unwrap_or(0.0)
}

fn at(plan: &Plan, requests_per_second: f64) -> Plan {
    Plan {
        pace: Pace::Open {
            requests_per_second,
        },
        ..plan.clone()
    }
}

fn verdicts(row: &Row, closed: &[Standing], open: &[Standing]) -> Vec<Verdict> {
    let peers = closed.iter().enumerate().skip(1).zip(row.against);
    let verdicts = peers.map(|((index, standing), against)| Verdict {
        peer: standing.name.clone(),
        cpu_ratio: standing.cpu_ratio,
        target: against.target,
        p99_ratio: open.get(index).map(|open| open.p99_ratio),
    });
    verdicts.collect()
}
