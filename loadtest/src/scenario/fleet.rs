//! A gateway with many packages, started for one scenario and waited for.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::packages;
use crate::{
    cli::RunArgs,
    client,
    gateway::{self, Gateway, Package},
    plan::Protocol,
    proc::Usage,
    workload::{Exchange, ExpectedBody},
};

/// More packages than this and the copies alone fill a disk.
const MAX_PACKAGES: usize = 100_000;
/// A process that used less processor time than this in one look is at rest.
const REST_CPU_US: f64 = 20_000.0;
/// The interval at which a process is looked at, and how often in a row it must be at
/// rest: packages are compiled in the background after the gateway listens.
const REST_INTERVAL: Duration = Duration::from_millis(250);
const REST_LOOKS: usize = 4;
/// Compiling ten thousand packages takes minutes; more is taken as hung.
const REST_LIMIT: Duration = Duration::from_secs(1800);

/// The path of the spinning package.
pub(super) const SPIN_PATH: &str = "/spin";

/// A running gateway and its packages.
pub(super) struct Fleet {
    pub(super) gateway: Gateway,
    pub(super) packages: Vec<Package>,
    this: PathBuf,
    /// Holds the packages' files.
    _files: tempfile::TempDir,
}

impl Fleet {
    /// Distinct packages made from `--component`, as many as `count`.
    pub(super) fn of_copies(arguments: &RunArgs, count: usize) -> anyhow::Result<Self> {
        anyhow::ensure!(
            (1..=MAX_PACKAGES).contains(&count),
            "--packages {count} is outside 1 to {MAX_PACKAGES}"
        );
        let component = gateway::component(&arguments.gateway.component, "component")?;
        let files = tempfile::tempdir()?;
        let packages = packages::distinct(&component, &arguments.gateway.path, files.path(), count)?;
        Self::start(arguments, files, packages)
    }

    /// The component below `/good` beside a spinning package at [`SPIN_PATH`].
    pub(super) fn with_spinner(arguments: &RunArgs, deadline: Duration) -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let component = gateway::component(&arguments.gateway.component, "component")?;
        let good = Package::new("good", component, "/good", &arguments.gateway.path);
        let spinner = packages::spinner(files.path())?;
        let mut spin = Package::new("spin", spinner, "", SPIN_PATH);
        spin.timeout = Some(deadline);
        Self::start(arguments, files, vec![good, spin])
    }

    /// The load test's own package, with state.
    pub(super) fn of_guest(arguments: &RunArgs) -> anyhow::Result<Self> {
        let guest = gateway::component(&arguments.guest, "guest")?;
        let mut package = Package::new("bench", guest, "", "/{*rest}");
        package.state = Some(loadtest_guest::STORE);
        Self::start(arguments, tempfile::tempdir()?, vec![package])
    }

    fn start(arguments: &RunArgs, files: tempfile::TempDir, packages: Vec<Package>) -> anyhow::Result<Self> {
        anyhow::ensure!(
            arguments.url.is_none(),
            "this scenario starts its own gateway; leave the URL out"
        );
        let this = std::env::current_exe().context("this program's own path")?;
        let gateway = gateway::start(&this, &arguments.gateway, &packages)?;
        let fleet = Self {
            gateway,
            packages,
            this,
            _files: files,
        };
        fleet.wait_for_rest()?;
        Ok(fleet)
    }

    /// Starts the gateway anew with every package compiled and none loaded.
    pub(super) fn restart(self, arguments: &RunArgs) -> anyhow::Result<Self> {
        let Self {
            gateway,
            packages,
            this,
            _files,
        } = self;
        let fleet = Self {
            gateway: gateway.restart(&this, &arguments.gateway, &packages)?,
            packages,
            this,
            _files,
        };
        fleet.wait_for_rest()?;
        Ok(fleet)
    }

    /// Waits until the gateway does nothing of its own accord.
    pub(super) fn wait_for_rest(&self) -> anyhow::Result<()> {
        let pid = self.gateway.peer.pid();
        let started = Instant::now();
        let (mut rested, mut before) = (0, Usage::of(pid)?);
        while rested < REST_LOOKS {
            anyhow::ensure!(
                started.elapsed() < REST_LIMIT,
                "the gateway was still busy after {REST_LIMIT:?}"
            );
            thread::sleep(REST_INTERVAL);
            let now = Usage::of(pid)?;
            rested = if now.cpu_us - before.cpu_us < REST_CPU_US {
                rested + 1
            } else {
                0
            };
            before = now;
        }
        Ok(())
    }

    /// A request to each package that expects what the last one answers.
    pub(super) fn exchanges(&self, timeout: Duration) -> anyhow::Result<Vec<Exchange>> {
        let last = self.packages.last().context("no package")?;
        let expected = self.learn(last, timeout)?.expected;
        let exchange = |package: &Package| Exchange {
            expected: expected.clone(),
            ..Exchange::get(&package.route())
        };
        Ok(self.packages.iter().map(exchange).collect())
    }

    /// A request to the package of this name that expects what it answers now.
    pub(super) fn exchange_of(&self, name: &str, timeout: Duration) -> anyhow::Result<Exchange> {
        let package = self.packages.iter().find(|package| package.name == name);
        self.learn(package.context("no such package")?, timeout)
    }

    fn learn(&self, package: &Package, timeout: Duration) -> anyhow::Result<Exchange> {
        let mut exchange = Exchange::get(&package.route());
        let target = &self.gateway.peer.target;
        let answer = client::probe(target, &exchange, Protocol::Http1, timeout)?;
        anyhow::ensure!(
            answer.status == 200,
            "{} answered {}, not 200: name the path the component answers with --path",
            package.route(),
            answer.status
        );
        exchange.expected.body = ExpectedBody::Exactly(answer.body);
        Ok(exchange)
    }
}
