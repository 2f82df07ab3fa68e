//! A process of a test: it ends with its value, and tells its log when the test fails.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
};

use crate::{Place, until};

/// Lines of a log that a failing test shows.
const SHOWN: usize = 200;

/// A program that can be started any number of times, one process at a time.
pub(crate) struct Program {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    user: Option<&'static str>,
    log: PathBuf,
    child: Option<Child>,
}

impl Program {
    pub(crate) fn new(name: &'static str, program: impl Into<PathBuf>, place: &Place) -> Self {
        Self {
            name,
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            user: None,
            log: place.folder().join(format!("{name}.log")),
            child: None,
        }
    }

    pub(crate) fn arguments<A: Into<String>>(&mut self, arguments: impl IntoIterator<Item = A>) {
        self.arguments.extend(arguments.into_iter().map(Into::into));
    }

    pub(crate) fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Runs it as this user, for programs that refuse to be root's.
    pub(crate) fn user(&mut self, user: Option<&'static str>) {
        self.user = user;
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Starts it and waits until `ready` says so; its end before that fails the test.
    pub(crate) async fn start<F: Future<Output = bool>>(&mut self, ready: impl Fn() -> F) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.unwrap();
        let mut command = command(&self.program, self.user);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = spawn(command).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        self.child = Some(child);
        let what = format!("{} to be ready", self.name);
        let (name, child) = (self.name, &mut self.child);
        until(&what, || {
            let ended = child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "{name} ended at its start: {ended:?}");
            ready()
        })
        .await;
    }

    /// Ends it as a loss of power would: it can do nothing about it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal by its name, and waits for the end.
    pub(crate) fn end_by(&mut self, signal: &str) {
        if let Some(mut child) = self.child.take() {
            let kill = format!("kill -{signal} {}", child.id());
            let sent = Command::new("sh").args(["-c", &kill]).status();
            assert!(sent.is_ok_and(|sent| sent.success()), "{kill}");
            let _ = child.wait();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = std::fs::read(&self.log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<_> = log.lines().collect();
            let shown = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
            eprintln!("--- log of {}\n{shown}\n---", self.name);
        }
    }
}

/// A command that the kernel ends with this process, as `user` when this one is root's.
pub(crate) fn command(program: &Path, user: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(user) = user {
        let user = format!("--reuid={user} --regid={user} --clear-groups");
        command.args(user.split(' '));
    }
    command.arg("--").arg(program);
    command
}

/// Starts a process from a thread that lives as long as this process: the kernel takes the end of the thread that
/// started it for the parent's end (prctl(2), `PR_SET_PDEATHSIG`).
fn spawn(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static ORDERS: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (send, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, started) in orders {
                let _ = started.send(command.spawn());
            }
        });
        send
    });
    let (send, started) = mpsc::channel();
    orders.send((command, send)).unwrap();
    started.recv().unwrap()
}
