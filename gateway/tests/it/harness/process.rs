//! The gateway as a process: started, watched, signalled, ended with its test.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Instant,
};

use rustix::process::{Pid, Resource, Rlimit};
use tempfile::TempDir;

use super::{
    Builder, LOOK_AGAIN, PATIENCE,
    log::{Event, Lines},
    metrics::Metrics,
    until,
};

/// A signal that an operator sends.
#[derive(Clone, Copy)]
pub(crate) enum Signal {
    Terminate,
    Interrupt,
    Kill,
    Hangup,
    /// Lets the process stand still, as a machine that is busy elsewhere does.
    Stop,
    Continue,
}

/// A gateway that serves; it ends with the test, and tells its log when the test fails.
pub(crate) struct TestGateway {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    // Held for its files, if they are this gateway's alone: the configuration lies there.
    folder: Option<TempDir>,
}

impl TestGateway {
    /// A configuration to be filled and started.
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// Starts a gateway with this `wasmgate.toml` and options on the command line, and waits until it says where it
    /// listens.
    pub(crate) fn start_with(toml: &str, options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
        let mut command = command(folder.path(), &["up"]);
        command.args(options);
        Self::spawn(command).keeping(folder)
    }

    /// Keeps a folder as long as the gateway.
    pub(crate) fn keeping(mut self, folder: TempDir) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Runs a command that is to serve, and waits until it says where it listens.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .env("A_SECRET_OF_THE_GATEWAY", "not for guests")
            .spawn()
            .expect("the gateway's binary runs");
        let stdout = Lines::collect(child.stdout.take().unwrap());
        let stderr = Lines::collect(child.stderr.take().unwrap());
        let deadline = Instant::now() + PATIENCE;
        let (address, admin) = loop {
            let lines = stdout.all();
            if let (Some(address), Some(admin)) = (
                announced(&lines, "listening on"),
                announced(&lines, "admin on"),
            ) {
                break (address, admin);
            }
            let ended = child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let _ = child.kill();
                panic!(
                    "the gateway did not start ({ended:?})\n{}\n{}",
                    lines.join("\n"),
                    stderr.all().join("\n")
                );
            }
            std::thread::sleep(LOOK_AGAIN);
        };
        Self {
            child,
            stdout,
            stderr,
            address,
            admin,
            folder: None,
        }
    }

    /// The folder of its own, which holds the configuration and the data.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().expect("a folder of its own").path()
    }

    /// The address of `[dapr] listen`, once it is printed.
    pub(crate) async fn dapr_address(&self) -> SocketAddr {
        let announced = || announced(&self.stdout.all(), "dapr on");
        until("the address of `[dapr] listen`", || async {
            announced().is_some()
        })
        .await;
        announced().unwrap()
    }

    /// The lines that the gateway printed at its start.
    pub(crate) fn printed(&self) -> String {
        self.stdout.all().join("\n")
    }

    /// The events of the log so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.stderr
            .all()
            .iter()
            .filter_map(|line| Event::parse(line))
            .collect()
    }

    /// The whole log so far, as it was written.
    pub(crate) fn log(&self) -> String {
        self.stderr.all().join("\n")
    }

    /// Stops reading the log for good, as a log collector that hangs.
    pub(crate) fn stop_reading_the_log(&self) {
        self.stderr.stop();
    }

    /// Waits for words in the log.
    pub(crate) async fn wait_for_words(&self, words: &str) {
        let told = || async { self.log().contains(words) };
        until(&format!("{words} in the log"), told).await;
    }

    /// Waits for an event with these fields.
    pub(crate) async fn wait_for_event(&self, fields: &[(&str, &str)]) -> Event {
        until(&format!("an event {fields:?}"), || async {
            self.events().iter().any(|event| event.has(fields))
        })
        .await;
        let found = self.events().into_iter().find(|event| event.has(fields));
        found.expect("the event that was seen")
    }

    /// The metrics as they are now.
    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::parse(self.admin_get("/metrics").await.text())
    }

    /// Waits for a metric, summed over the series with these labels, to reach exactly a value.
    pub(crate) async fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        until(&format!("{name}{labels:?} = {value}"), || async {
            self.metrics().await.sum(name, labels) as u64 == value
        })
        .await;
    }

    /// Waits until so many instances of a package are alive.
    pub(crate) async fn wait_for_in_flight(&self, package: &str, instances: u64) {
        self.wait_for_metric(
            "wasmgate_instances_in_flight",
            &[("package", package)],
            instances,
        )
        .await;
    }

    /// Allows the process so many descriptors from now on, those that it has included; answers how many it was allowed.
    pub(crate) fn limit_descriptors(&self, count: u64) -> u64 {
        self.limit(Resource::Nofile, Some(count))
            .unwrap_or(u64::MAX)
    }

    /// Allows the process so many bytes of address space from now on; answers how many it was allowed.
    pub(crate) fn limit_address_space(&self, bytes: Option<u64>) -> Option<u64> {
        self.limit(Resource::As, bytes)
    }

    /// Allows the process files of so many bytes from now on; answers how many it was allowed.
    pub(crate) fn limit_file_size(&self, bytes: Option<u64>) -> Option<u64> {
        self.limit(Resource::Fsize, bytes)
    }

    fn limit(&self, resource: Resource, current: Option<u64>) -> Option<u64> {
        let pid = i32::try_from(self.child.id()).unwrap();
        let maximum = rustix::process::getrlimit(resource).maximum;
        let limit = Rlimit { current, maximum };
        let before = rustix::process::prlimit(Pid::from_raw(pid), resource, limit);
        before.unwrap().current
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory of the process that is in RAM, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.status("VmRSS") * 1024
    }

    /// A number that the kernel tells of the process, without its unit (proc(5), `/proc/PID/status`).
    pub(crate) fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(key, value)| (key == name).then_some(value));
        let number = value.unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    }

    /// Processor time that threads of this name have taken so far, in the kernel's ticks of 10 ms (proc(5),
    /// `/proc/PID/task/TID/stat`, fields 14 and 15). The main thread has the name of the binary.
    pub(crate) fn processor_ticks(&self, name: &str) -> u64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        let ticks = stats.filter_map(|stat| {
            let (start, fields) = stat.rsplit_once(')')?;
            let (_, thread) = start.split_once('(')?;
            let mut times = fields
                .split_whitespace()
                .skip(11)
                .map(|ticks| ticks.parse::<u64>().ok());
            let ticks = times.next()?? + times.next()??;
            (thread == name).then_some(ticks)
        });
        ticks.sum()
    }

    /// Sends a signal; the standard library knows only the last resort.
    pub(crate) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "TERM",
            Signal::Interrupt => "INT",
            Signal::Kill => "KILL",
            Signal::Hangup => "HUP",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .unwrap();
        assert!(sent.success(), "the gateway is there to be signalled");
    }

    /// Ends the process as a loss of power would: it can do nothing about it. What it has said is in the log by then.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !self.is_heard() {
            assert!(Instant::now() < deadline, "the log has no end");
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits for the process to end by itself, and until all that it has said is in the log.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap()
                && self.is_heard()
            {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the gateway did not end by itself"
            );
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether all of both outputs has been read, as far as it is.
    fn is_heard(&self) -> bool {
        self.stdout.are_whole() && self.stderr.are_whole()
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- stdout of the gateway\n{}", self.printed());
            eprintln!("--- log of the gateway\n{}\n---", self.log());
        }
    }
}

/// Runs `wasmgate` in a folder until it ends by itself; one that serves instead fails the test.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    output_of(command(folder, arguments))
}

/// The output of a command that ends by itself.
pub(crate) fn output_of(mut command: Command) -> Output {
    let mut child = command.spawn().expect("the command runs");
    let stdout = Lines::collect(child.stdout.take().unwrap());
    let stderr = Lines::collect(child.stderr.take().unwrap());
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let [stdout, stderr] = [stdout, stderr].map(|lines| lines.whole().into_bytes());
            return Output {
                status,
                stdout,
                stderr,
            };
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("still running: {command:?}\n{}", stderr.all().join("\n"));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The binary under test, in a folder, with its outputs caught and no say for the caller's environment.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmgate"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .env_remove("DAPR_HTTP_ENDPOINT")
        .env_remove("DAPR_HTTP_PORT")
        .env_remove("DAPR_API_TOKEN")
        .env_remove("APP_API_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The address in the line that begins with these words.
fn announced(lines: &[String], words: &str) -> Option<SocketAddr> {
    let line = lines.iter().find_map(|line| line.strip_prefix(words))?;
    line.trim()
        .trim_start_matches("http://")
        .trim_start_matches("https://")
        .trim_end_matches('/')
        .parse()
        .ok()
}
