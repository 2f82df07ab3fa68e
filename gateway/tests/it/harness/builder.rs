//! A configuration, written piece by piece and served.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    guest,
    process::{TestGateway, command},
};

/// Resources of [`Builder::retries`].
const QUICK_RETRIES: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.sqlite, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: quickly}
spec:
  policies:
    retries: {quick: {RETRY}}
  targets:
    components: {pubsub: {inbound: {retry: quick}}}
";

/// A `wasmgate.toml` in the making: free ports and the compiled-code cache that tests share, unless
/// said otherwise.
#[derive(Default)]
pub(crate) struct Builder {
    server: String,
    limits: String,
    packages: String,
    routes: String,
    dapr: String,
    cache: Option<PathBuf>,
    files: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

impl Builder {
    /// Adds lines to `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        let _ = writeln!(self.server, "{lines}");
        self
    }

    /// Adds lines to `[limits]`.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        let _ = writeln!(self.limits, "{lines}");
        self
    }

    /// Adds lines to `[dapr]`.
    pub(crate) fn dapr(mut self, lines: &str) -> Self {
        let _ = writeln!(self.dapr, "{lines}");
        self
    }

    /// A file beside the configuration.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// A variable in the gateway's environment.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps compiled code in a folder of the test's own.
    pub(crate) fn cache(mut self, folder: &Path) -> Self {
        self.cache = Some(folder.to_owned());
        self
    }

    /// A package made of any file, with more lines for its table.
    pub(crate) fn package(mut self, name: &str, source: &Path, lines: &str) -> Self {
        let _ = writeln!(
            self.packages,
            "[package.{name}]\nsource = {}\n{lines}\n",
            quoted(source)
        );
        self
    }

    /// A test guest as a package of its own name, routed at `/NAME` (dashes for underscores).
    pub(crate) fn guest(self, example: &str) -> Self {
        self.guest_with(example, "")
    }

    /// Like [`Builder::guest`], with more lines for the package's table.
    pub(crate) fn guest_with(self, example: &str, lines: &str) -> Self {
        let name = example.replace('_', "-");
        self.package(&name, &guest(example), lines)
            .route(&format!("/{name}"), &name)
    }

    /// A test guest as a package of any name, routed at `/NAME`, with lines for the package's table.
    pub(crate) fn guest_as(self, name: &str, example: &str, lines: &str) -> Self {
        self.package(name, &guest(example), lines)
            .route(&format!("/{name}"), name)
    }

    /// A test guest as a package that takes the events of a topic of `pubsub` at `/events`.
    pub(crate) fn subscriber(self, name: &str, example: &str, topic: &str) -> Self {
        self.subscriber_with(name, example, topic, "")
    }

    /// The same with more members of its subscription, each after a comma.
    pub(crate) fn subscriber_with(self, name: &str, example: &str, topic: &str, more: &str) -> Self {
        let lines = format!(
            r#"env = {{ SUBSCRIPTIONS = '[{{"pubsubname":"pubsub","topic":"{topic}","route":"/events"{more}}}]' }}
               dapr = {{ state = ["statestore"], subscribe = ["pubsub/*"] }}"#
        );
        self.guest_as(name, example, &lines)
    }

    /// Components `pubsub` and `statestore`, where every delivery is tried so many times more, at once.
    pub(crate) fn retries(self, times: usize) -> Self {
        let retry = format!("policy: constant, duration: 1ms, maxRetries: {times}");
        self.file(
            "components/all.yaml",
            &QUICK_RETRIES.replace("RETRY", &retry),
        )
    }

    /// A route without conditions.
    pub(crate) fn route(self, path: &str, package: &str) -> Self {
        self.route_with(path, package, "")
    }

    /// A route with more lines for its table.
    pub(crate) fn route_with(mut self, path: &str, package: &str, lines: &str) -> Self {
        let _ = writeln!(
            self.routes,
            "[[route]]\npath = \"{path}\"\npackage = \"{package}\"\n{lines}\n"
        );
        self
    }

    /// The configuration as text.
    pub(crate) fn toml(&self) -> String {
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        let cache = quoted(self.cache.as_deref().unwrap_or(&shared));
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ncache = {cache}\n{}\n\
             [limits]\n{}\n[dapr]\n{}\n{}{}",
            self.server, self.limits, self.dapr, self.packages, self.routes
        )
    }

    /// Writes the configuration and its files into a folder.
    pub(crate) fn write_to(&self, folder: &Path) {
        let toml = ("wasmgate.toml".to_owned(), self.toml());
        for (name, text) in self.files.iter().chain([&toml]) {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            // Whole at once, by the name that editors use meanwhile: who watches it sees one or the other.
            let next = folder.join(format!("{name}~"));
            std::fs::write(&next, text).unwrap();
            std::fs::rename(next, path).unwrap();
        }
    }

    /// Starts a gateway in a folder, which may hold the data of one before it, and waits until it serves.
    pub(crate) fn start_in(&self, folder: &Path) -> TestGateway {
        self.write_to(folder);
        let mut command = command(folder, &["up"]);
        command.envs(self.environment.iter().cloned());
        TestGateway::spawn(command)
    }

    /// Starts a gateway that watches its files, and waits until it serves.
    pub(crate) fn start_watching(&self) -> TestGateway {
        let folder = TempDir::new().unwrap();
        self.write_to(folder.path());
        let mut command = command(folder.path(), &["up", "--watch"]);
        command.envs(self.environment.iter().cloned());
        TestGateway::spawn(command).keeping(folder)
    }

    /// Starts a gateway with it and waits until it serves.
    pub(crate) fn start(&self) -> TestGateway {
        let folder = TempDir::new().unwrap();
        self.start_in(folder.path()).keeping(folder)
    }
}

/// A path as a TOML literal string.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
