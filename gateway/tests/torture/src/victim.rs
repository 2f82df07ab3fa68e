//! The gateway under attack: a process of its own, and what it uses.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{Programs, http1};

/// How long a start may take: every package may have to be compiled.
const START: Duration = Duration::from_secs(300);

/// The most lines of the log that are kept: the last ones.
const LINES: usize = 20_000;

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the programs are.
    pub programs: Programs,
    /// Lines for `[server]`.
    pub server: String,
    /// Lines for `[limits]`.
    pub limits: String,
    /// Lines for `[dapr]`.
    pub dapr: String,
    /// Packages: name, component, lines of its table. Each is routed at `/NAME`.
    pub packages: Vec<(String, PathBuf, String)>,
    /// Components that are written beside the configuration: name and bytes.
    pub components: Vec<(String, Vec<u8>)>,
}

impl Setup {
    pub(crate) fn new(programs: &Programs) -> Self {
        Self {
            programs: programs.clone(),
            server: String::new(),
            limits: String::new(),
            dapr: String::new(),
            packages: Vec::new(),
            components: Vec::new(),
        }
    }

    /// Adds a test guest as a package.
    pub(crate) fn guest(&mut self, name: &str, example: &str, lines: &str) {
        let component = self.programs.guests.join(format!("{example}.wasm"));
        self.packages
            .push((name.to_owned(), component, lines.to_owned()));
    }

    /// Adds a component as a package.
    pub(crate) fn component(&mut self, name: &str, bytes: Vec<u8>) {
        let file = format!("{name}.wasm");
        let package = (name.to_owned(), PathBuf::from(&file), String::new());
        self.packages.push(package);
        self.components.push((file, bytes));
    }

    pub(crate) fn toml(&self, port: u16) -> String {
        let mut text = format!("[server]\nlisten = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:0\"\n");
        if let Some(cache) = &self.programs.cache {
            let _ = writeln!(text, "cache = '{}'", cache.display());
        }
        let _ = write!(
            text,
            "{}\n[limits]\n{}\n[dapr]\n{}\n",
            self.server, self.limits, self.dapr
        );
        for (name, component, lines) in &self.packages {
            let source = component.display();
            let lines = lines.replace("PORT", &port.to_string());
            let _ = write!(
                text,
                "[package.{name}]\nsource = '{source}'\n{lines}\n[[route]]\npath = \"/{name}\"\npackage = \"{name}\"\n\
                 [[route]]\npath = \"/{name}/{{*rest}}\"\npackage = \"{name}\"\n"
            );
        }
        text
    }
}

/// A running gateway; it ends with this.
#[derive(Debug)]
pub struct Victim {
    child: Child,
    /// The public listener.
    pub address: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

/// A process and its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) pid: u32,
    /// The configuration.
    pub(crate) file: PathBuf,
    /// The port of the public listener.
    pub(crate) port: u16,
}

/// What a gateway holds at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident bytes.
    pub resident: u64,
    /// The most of them since [`Victim::forget_peak`].
    pub peak: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Slots of the pools that are in use.
    pub slots: u64,
    /// Instances that are alive.
    pub instances: u64,
}

impl Victim {
    /// Starts a gateway and waits until it listens.
    ///
    /// # Errors
    /// When it ends or stays silent.
    pub async fn start(setup: &Setup) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        Self::start_in(setup, folder).await
    }

    pub(crate) async fn start_in(setup: &Setup, folder: TempDir) -> Result<Self> {
        // A port of the system's choice that packages can be told of beforehand.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        fs::write(folder.path().join("wasmgate.toml"), setup.toml(port))?;
        for (file, bytes) in &setup.components {
            fs::write(folder.path().join(file), bytes)?;
        }
        let mut child = Command::new(&setup.programs.gateway)
            .arg("up")
            .current_dir(folder.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not run", setup.programs.gateway.display()))?;
        let printed = collect(child.stdout.take());
        let log = collect(child.stderr.take());
        let started = Instant::now();
        loop {
            let admin = announced(&printed.lock(), "admin on");
            if let (Some(address), Some(admin)) = (announced(&printed.lock(), "listening on"), admin) {
                let victim = Self {
                    child,
                    address,
                    admin,
                    log,
                    folder,
                };
                return Ok(victim);
            }
            if let Some(status) = child.try_wait()? {
                sleep(Duration::from_millis(50)).await;
                bail!(
                    "the gateway did not start: {status}\n{}",
                    log.lock().join("\n")
                );
            }
            if started.elapsed() > START {
                bail!("the gateway did not listen in {START:?}");
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// How the process ended, if it did.
    pub fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it is told what to serve.
    pub(crate) fn site(&self) -> Site {
        Site {
            pid: self.pid(),
            file: self.folder.path().join("wasmgate.toml"),
            port: self.address.port(),
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The last lines of the log.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// What it holds now; zeros when it cannot tell.
    pub async fn usage(&self) -> Usage {
        let metrics = http1::get(self.admin, "/metrics").await.unwrap_or_default();
        let process = format!("/proc/{}", self.pid());
        let status = fs::read_to_string(format!("{process}/status")).unwrap_or_default();
        let descriptors = fs::read_dir(format!("{process}/fd")).map_or(0, Iterator::count);
        Usage {
            resident: kilobytes(&status, "VmRSS:") * 1024,
            peak: kilobytes(&status, "VmHWM:") * 1024,
            descriptors: descriptors as u64,
            slots: sum(&metrics, "wasmgate_pool_slots", "state=\"live\""),
            instances: sum(&metrics, "wasmgate_instances_in_flight", ""),
        }
    }

    /// Measures the peak of resident memory from now on (proc(5), `clear_refs`).
    pub(crate) fn forget_peak(&self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.pid()), "5");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines of an output, while it lasts.
fn collect(output: Option<impl Read + Send + 'static>) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    if let Some(output) = output {
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let mut kept = kept.lock();
                if kept.len() >= LINES {
                    kept.drain(..LINES / 2);
                }
                kept.push(String::from_utf8_lossy(&line).into_owned());
            }
        });
    }
    lines
}

fn announced(lines: &[String], words: &str) -> Option<SocketAddr> {
    let line = lines.iter().find_map(|line| line.strip_prefix(words))?;
    line.trim().strip_prefix("http://")?.parse().ok()
}

fn kilobytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

/// The sum of a metric over the series that have a label.
fn sum(metrics: &str, name: &str, label: &str) -> u64 {
    let series = metrics
        .lines()
        .filter(|line| line.starts_with(name) && line.contains(label));
    let values = series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum::<f64>() as u64
}
