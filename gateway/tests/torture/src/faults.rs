//! A long run in which everything fails now and then: guests trap, spin and hang, clients go, the disk is full,
//! descriptors are short, the process stands still. No answer may be wrong, and nothing may be left.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use fastrand::Rng;
use parking_lot::Mutex;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    Programs,
    http1::Client,
    neighbour,
    victim::{Setup, Usage, Victim},
};

/// Clients at once.
const LANES: usize = 32;

/// The disk of the building blocks.
const DISK_MIB: usize = 32;

/// A fault is forgiven for this long after its end: the kernel's queue holds connections that were made meanwhile.
const FORGIVEN: Duration = Duration::from_secs(2);

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Things that went wrong that are kept; the rest is counted.
const KEPT: usize = 50;

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
    forgiving: AtomicBool,
    over: AtomicBool,
}

/// Sends so many requests, with faults that a seed decides.
///
/// # Errors
/// When the gateway does not start.
pub async fn run(programs: &Programs, requests: usize, seed: u64) -> Result<Told> {
    let disk = Disk::mount()?;
    let mut victim = Victim::start(&setup(programs, disk.path())).await?;
    let start = Instant::now();
    let run = Arc::new(Run {
        told: Mutex::default(),
        forgiving: AtomicBool::new(false),
        over: AtomicBool::new(false),
    });
    run.told.lock().seed = seed;
    // Every package is loaded once before the count begins.
    lanes(&victim, &run, LANES * 40, seed).await;
    let before = victim.usage().await;
    let injector = tokio::spawn(inject(
        Arc::clone(&run),
        victim.pid(),
        disk.path().map(Path::to_owned),
        Rng::with_seed(seed),
    ));
    lanes(&victim, &run, requests / 2, seed ^ 1).await;
    let halfway = victim.usage().await;
    lanes(&victim, &run, requests - requests / 2, seed ^ 2).await;
    run.over.store(true, Ordering::Relaxed);
    injector.await?;
    let after = settled(&victim, &before).await;
    let mut told = run.told.lock().clone();
    told.took = start.elapsed();
    (told.before, told.halfway, told.after) = (before, halfway, after);
    judge(&mut told, &mut victim);
    Ok(told)
}

fn setup(programs: &Programs, disk: Option<&Path>) -> Setup {
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
    setup
}

async fn lanes(victim: &Victim, run: &Arc<Run>, requests: usize, seed: u64) {
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let mut lane = Lane {
            run: Arc::clone(run),
            client: Client::new(victim.address),
            random: Rng::with_seed(seed.wrapping_mul(1000) + lane as u64),
            key: format!("lane-{seed}-{lane}"),
            saved: vec!["".to_owned()],
        };
        lanes.spawn(async move {
            for _ in 0..requests / LANES {
                lane.request().await;
            }
        });
    }
    while lanes.join_next().await.is_some() {}
}

/// One client: it knows what it saved.
struct Lane {
    run: Arc<Run>,
    client: Client,
    random: Rng,
    key: String,
    /// What its key may hold: more than one value after a save without an answer.
    saved: Vec<String>,
}

impl Lane {
    async fn request(&mut self) {
        match self.random.u8(0..100) {
            0..40 => {
                self.expect("/neighbour", b"", |status, body| {
                    status == 200 && body == b"Hello from a package\n"
                })
                .await
            }
            40..55 => {
                let mut body = vec![0; self.random.usize(0..8192)];
                self.random.fill(&mut body);
                let sent = body.clone();
                self.expect("/echo", &body, move |status, body| {
                    status == 200 && body == sent
                })
                .await;
            }
            55..63 => {
                self.expect("/counter", b"", |status, body| {
                    status == 200 && body == b"1"
                })
                .await
            }
            63..70 => self.expect("/panics", b"", |status, _| status == 502).await,
            70..74 => self.expect("/exits", b"", |status, _| status == 502).await,
            74..80 => {
                let n = self.random.u32(..1000);
                let right = move |status, body: &[u8]| {
                    if n.is_multiple_of(10) {
                        status == 502
                    } else {
                        status == 200 && body == n.to_string().as_bytes()
                    }
                };
                self.expect(&format!("/tenth?n={n}"), b"", right).await;
            }
            80..82 => self.expect("/spins", b"", |status, _| status == 504).await,
            82..84 => self.expect("/hangs", b"", |status, _| status == 504).await,
            84..90 => self.save().await,
            90..95 => self.look().await,
            95..97 => self.abandon("/hangs").await,
            97..98 => self.abandon("/dies").await,
            _ => self.abandon("/streams?n=1000000").await,
        }
    }

    async fn expect(&mut self, path: &str, body: &[u8], right: impl FnOnce(u16, &[u8]) -> bool) {
        let request = head("POST", path, "", body);
        let name = path.split('?').next().unwrap_or_default();
        if let Some((status, answer)) = self.answer(name, &request).await
            && !right(status, &answer)
        {
            let body = String::from_utf8_lossy(answer.get(..200).unwrap_or(&answer));
            self.wrong(
                format!("{path} was answered {status} {body:?}"),
                status == 503,
            );
        }
    }

    /// The answer to a request; none if there is none, which is told.
    async fn answer(&mut self, name: &str, request: &[u8]) -> Option<(u16, Vec<u8>)> {
        let answer = timeout(PATIENCE, self.client.ask(request)).await;
        let told = match &answer {
            Ok(Ok((status, _))) => status.to_string(),
            Ok(Err(error)) => format!("{:?}", error.kind()),
            Err(_) => "no answer in time".to_owned(),
        };
        let answers = format!("{name} {told}");
        *self.run.told.lock().answers.entry(answers).or_insert(0) += 1;
        match answer {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                self.wrong(format!("{name}: {error}"), true);
                None
            }
            Err(_) => {
                self.client = Client::new(self.client.address());
                self.wrong(format!("{name}: no answer in {PATIENCE:?}"), false);
                None
            }
        }
    }

    async fn save(&mut self) {
        // Long ones now and then: short ones find room in the files that are there, however full the disk is.
        let most = if self.random.u8(..4) == 0 {
            100_000
        } else {
            2000
        };
        let value = format!(
            "{}-{}",
            self.random.u64(..),
            "v".repeat(self.random.usize(0..most))
        );
        let body = format!("[{{\"key\":\"{}\",\"value\":\"{value}\"}}]", self.key);
        let request = head(
            "POST",
            "/state",
            "x-call: /v1.0/state/statestore\r\n",
            body.as_bytes(),
        );
        match self.answer("save", &request).await {
            Some((204, _)) => self.saved = vec![value],
            Some((status, answer)) => {
                self.saved.push(value);
                let text = String::from_utf8_lossy(&answer).into_owned();
                self.wrong(
                    format!("a save was answered {status} {text}"),
                    matches!(status, 500 | 503 | 507),
                );
            }
            None => self.saved.push(value),
        }
    }

    async fn look(&mut self) {
        let call = format!("x-call: /v1.0/state/statestore/{}\r\n", self.key);
        let request = head("GET", "/state", &call, b"");
        match self.answer("look", &request).await {
            Some((200 | 204, answer)) => {
                let text = String::from_utf8_lossy(&answer);
                let text = text.trim_matches('"');
                if self.saved.iter().any(|saved| saved == text) {
                    self.saved = vec![text.to_owned()];
                } else {
                    let some = text.get(..40).unwrap_or(text);
                    self.wrong(
                        format!("{} holds {some:?}, which was not saved last", self.key),
                        false,
                    );
                }
            }
            Some((status, _)) => self.wrong(
                format!("a look was answered {status}"),
                matches!(status, 500 | 503 | 507),
            ),
            None => {}
        }
    }

    async fn abandon(&mut self, path: &str) {
        let after = Duration::from_millis(self.random.u64(0..30));
        let request = head("GET", path, "", b"");
        let gone = self.client.abandon(&request, after).await;
        let told = if gone.is_ok() {
            "abandoned"
        } else {
            "no connection"
        };
        let name = path.split('?').next().unwrap_or_default();
        *self
            .run
            .told
            .lock()
            .answers
            .entry(format!("{name} {told}"))
            .or_insert(0) += 1;
    }

    /// Tells what is wrong, unless it may be so while there are faults and there are some.
    fn wrong(&self, what: String, forgivable: bool) {
        if forgivable && self.run.forgiving.load(Ordering::Relaxed) {
            return;
        }
        let mut told = self.run.told.lock();
        if told.wrong.len() < KEPT {
            told.wrong.push(what);
        }
    }
}

fn head(method: &str, path: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Brings faults, with quiet times between them, until the run is over.
async fn inject(run: Arc<Run>, pid: u32, disk: Option<PathBuf>, mut random: Rng) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    while !run.over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(random.u64(3000..6000))).await;
        run.forgiving.store(true, Ordering::Relaxed);
        for _ in 0..random.u32(1..4) {
            let time = Duration::from_millis(random.u64(50..400));
            let kind = match random.u8(0..3) {
                0 => short_of_descriptors(pid, time).await,
                1 => full_disk(disk.as_deref(), time).await,
                _ => stand_still(pid, time).await,
            };
            if let Some(kind) = kind {
                *run.told.lock().faults.entry(kind).or_insert(0) += 1;
            }
        }
        sleep(FORGIVEN).await;
        run.forgiving.store(false, Ordering::Relaxed);
    }
}

async fn short_of_descriptors(pid: Pid, time: Duration) -> Option<&'static str> {
    let open = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()))
        .ok()?
        .count();
    // Only the soft limit goes down, so that it can go up again.
    let own = rustix::process::getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(open as u64 + 2),
        maximum: own.maximum,
    };
    let before = prlimit(Some(pid), Resource::Nofile, few).ok()?;
    sleep(time).await;
    let _ = prlimit(Some(pid), Resource::Nofile, before);
    Some("descriptors")
}

async fn full_disk(disk: Option<&Path>, time: Duration) -> Option<&'static str> {
    let filler = disk?.join("filler");
    let mut file = File::create(&filler).ok()?;
    while file.write_all(&[0; 4096]).is_ok() {}
    // Until what is stored needs room.
    sleep(time * 4).await;
    drop(file);
    fs::remove_file(filler).ok()?;
    Some("full disk")
}

async fn stand_still(pid: Pid, time: Duration) -> Option<&'static str> {
    kill_process(pid, Signal::STOP).ok()?;
    sleep(time).await;
    kill_process(pid, Signal::CONT).ok()?;
    Some("standstill")
}

async fn settled(victim: &Victim, before: &Usage) -> Usage {
    let start = Instant::now();
    loop {
        let now = victim.usage().await;
        let back = now.slots <= before.slots && now.instances <= before.instances;
        if back && now.descriptors <= before.descriptors + 16 || start.elapsed() > PATIENCE {
            return now;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn judge(told: &mut Told, victim: &mut Victim) {
    let (before, halfway, after) = (told.before, told.halfway, told.after);
    if let Some(ended) = victim.ended() {
        told.wrong.push(format!("the gateway ended: {ended}"));
    }
    let log = victim.log();
    let panics = log.iter().filter(|line| line.starts_with("thread '"));
    told.wrong
        .extend(panics.map(|line| format!("a panic: {line}")));
    if after.slots > before.slots || after.instances > before.instances {
        told.wrong.push(format!(
            "{} slots and {} instances are left",
            after.slots, after.instances
        ));
    }
    if after.descriptors > before.descriptors + 16 {
        told.wrong.push(format!(
            "{} descriptors of {} are left",
            after.descriptors, before.descriptors
        ));
    }
    if after.resident > halfway.resident.max(before.resident) + GROWTH {
        let grown = (after.resident - halfway.resident) >> 20;
        told.wrong
            .push(format!("the second half added {grown} MiB"));
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

/// A small disk of its own for the building blocks, if this user may mount one.
struct Disk(Option<TempDir>);

impl Disk {
    fn mount() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Ok(Self(Some(folder)));
        }
        eprintln!("no disk is filled: none may be mounted here");
        Ok(Self(None))
    }

    fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(TempDir::path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(folder.path())
                .status();
        }
    }
}
