//! One hostile thing beside the good package: tried, watched, judged.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    Pace, http1,
    neighbour::{self, Seen},
    script::{self, Script},
    victim::{Usage, Victim},
};

/// How long what an attack took may take to come back.
const RECOVERY: Duration = Duration::from_secs(20);

/// Before the good package is asked, the attack is to have begun.
const HEAD_START: Duration = Duration::from_millis(50);

/// Between two tries of one attacker: many attackers on two cores are a matter of processor time otherwise.
const BREATH: Duration = Duration::from_millis(10);

/// The most bytes that a case may add at its height, unless it says otherwise.
const HEIGHT: u64 = 256 << 20;

/// The most bytes that a case may leave: allocators and pools keep some warm.
const LEFT: u64 = 96 << 20;

/// The longest that the neighbour may wait, as its p99: seconds more than a busy machine lets it wait.
const WAIT: Duration = Duration::from_secs(5);

/// Descriptors that may be left: a pool of connections to others, a file just opened.
const DESCRIPTORS: u64 = 16;

/// What any case may get: the gateway was busy, or the machine was.
const ALWAYS: [&str; 4] = ["408", "503", "504", "no connection"];

/// A hostile thing.
#[derive(Clone, Debug)]
pub struct Case {
    /// A word for it.
    pub name: &'static str,
    /// What it does, in a few words.
    pub does: &'static str,
    /// How many do it at once.
    pub attackers: usize,
    /// What it may get, by the beginnings of what is told of it; empty for anything.
    pub answers: &'static [&'static str],
    /// The most bytes that it may add at its height.
    pub height: u64,
    pub(crate) attack: Attack,
}

#[derive(Clone, Debug)]
pub(crate) enum Attack {
    /// A request to a hostile package, with a head and a body.
    Request(Vec<u8>),
    /// A connection on which a script is played.
    Script(Script),
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// What attackers got, and how often.
    pub got: BTreeMap<String, u64>,
    /// The good package alone.
    pub calm: Seen,
    /// The good package beside the attack.
    pub attacked: Seen,
    /// What the gateway held before the attack.
    pub before: Usage,
    /// What it held once it had recovered, with its peak during the attack.
    pub after: Usage,
    /// The gateway ended.
    pub died: bool,
    /// What was not as it should be.
    pub harm: Vec<String>,
}

/// A judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was harmed.
    Held,
    /// It does harm.
    Broken,
}

impl Row {
    /// How the case ended.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.harm.is_empty() {
            Verdict::Held
        } else {
            Verdict::Broken
        }
    }
}

impl Case {
    pub(crate) fn new(name: &'static str, does: &'static str, attackers: usize, attack: Attack) -> Self {
        Self {
            name,
            does,
            attackers,
            answers: &[],
            height: HEIGHT,
            attack,
        }
    }

    /// What it may get.
    pub(crate) fn gets(mut self, answers: &'static [&'static str]) -> Self {
        self.answers = answers;
        self
    }

    /// The most that it may add at its height.
    pub(crate) fn height(mut self, bytes: u64) -> Self {
        self.height = bytes;
        self
    }
}

/// Tries a case: the good package alone, then beside the attack, then what is left.
pub(crate) async fn attempt(victim: &mut Victim, case: &Case, pace: Pace, number: usize) -> Row {
    let before = victim.usage().await;
    let calm = neighbour::ask(victim.address, pace.alone, pace.rate).await;
    victim.forget_peak();
    let got = Arc::new(Mutex::new(BTreeMap::new()));
    let mut attackers = JoinSet::new();
    for _ in 0..case.attackers {
        // An address for each case: its connections are not the good package's, nor those of another case.
        let from = SocketAddr::from((
            [127, 0, 1 + (number / 250) as u8, 1 + (number % 250) as u8],
            0,
        ));
        let (attack, got, to) = (case.attack.clone(), Arc::clone(&got), victim.address);
        attackers.spawn(async move {
            loop {
                let told = once(&attack, from, to).await;
                *got.lock().entry(told).or_insert(0) += 1;
                sleep(BREATH).await;
            }
        });
    }
    sleep(HEAD_START).await;
    let attacked = neighbour::ask(victim.address, pace.requests, pace.rate).await;
    let end = Instant::now() + pace.overtime;
    while got.lock().is_empty() && Instant::now() < end {
        sleep(BREATH).await;
    }
    let peak = victim.usage().await.peak;
    attackers.shutdown().await;
    let mut after = recovered(victim, &before).await;
    after.peak = peak;
    let mut row = Row {
        case: case.clone(),
        got: std::mem::take(&mut *got.lock()),
        calm,
        attacked,
        before,
        after,
        died: victim.ended().is_some(),
        harm: Vec::new(),
    };
    row.harm = harm(&row, pace);
    if let Some(ended) = victim.ended() {
        row.harm.insert(0, format!("the gateway ended: {ended}"));
    }
    row
}

async fn once(attack: &Attack, from: SocketAddr, to: SocketAddr) -> String {
    match attack {
        Attack::Script(script) => script::play(script, from, to).await,
        Attack::Request(request) => {
            use tokio::io::AsyncWriteExt as _;
            let Ok(mut stream) = http1::connect(from, to, None).await else {
                return "no connection".to_owned();
            };
            let patience = Duration::from_secs(10);
            if timeout(patience, stream.write_all(request)).await.is_err() {
                return "not read".to_owned();
            }
            let (answer, ended) = http1::read_to_end(&mut stream, patience).await;
            http1::told(&answer, ended)
        }
    }
}

/// What the gateway holds once it has all back, or after [`RECOVERY`].
async fn recovered(victim: &Victim, before: &Usage) -> Usage {
    let start = Instant::now();
    loop {
        let now = victim.usage().await;
        let back = now.instances <= before.instances
            && now.slots <= before.slots
            && now.descriptors <= before.descriptors + DESCRIPTORS
            && now.resident <= before.resident + LEFT;
        if back || start.elapsed() > RECOVERY {
            return now;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn harm(row: &Row, pace: Pace) -> Vec<String> {
    let Row {
        case,
        before,
        after,
        ..
    } = row;
    let mut harm = Vec::new();
    for (seen, all, when) in [
        (&row.calm, pace.alone, "before"),
        (&row.attacked, pace.requests, "during"),
    ] {
        if seen.right < all {
            let wrong = all - seen.right;
            let some: Vec<_> = seen.wrong.iter().take(3).collect();
            harm.push(format!(
                "{wrong} requests of the neighbour went wrong {when} it: {some:?}"
            ));
        }
    }
    let waited = row.attacked.p99();
    if waited > WAIT {
        harm.push(format!("the neighbour waited {waited:?}"));
    }
    for got in row.got.keys() {
        let known = case
            .answers
            .iter()
            .chain(&ALWAYS)
            .any(|known| got.starts_with(known));
        if !known && !case.answers.is_empty() {
            harm.push(format!("it got {got:?}"));
        }
    }
    let height = after.peak.saturating_sub(before.resident);
    if height > case.height {
        harm.push(format!("{} MiB at its height", height >> 20));
    }
    if after.resident > before.resident + LEFT {
        harm.push(format!(
            "{} MiB are left",
            (after.resident - before.resident) >> 20
        ));
    }
    if after.descriptors > before.descriptors + DESCRIPTORS {
        harm.push(format!(
            "{} descriptors are left",
            after.descriptors - before.descriptors
        ));
    }
    if after.slots > before.slots || after.instances > before.instances {
        let (slots, instances) = (after.slots, after.instances);
        harm.push(format!("{slots} slots and {instances} instances are left"));
    }
    harm
}
