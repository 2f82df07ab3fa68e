//! `wasmgate build`: runs the packages' build commands.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use futures_util::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wasmgate::{
    bootstrap,
    build::{BuildFailure, Builder, Built, Outcome},
    config::{Config, PackageConfig},
};
use wasmgate_common::{Code, Diagnostic};

use super::{Exit, file::More, print};

/// Its arguments.
#[derive(Args)]
pub(crate) struct Build {
    /// The packages to build [default: all that have a build command]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "wasmgate.toml")]
    file: PathBuf,
    #[command(flatten)]
    more: More,
}

impl Build {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let mut config = self.load()?;
        let wanted = self.wanted(&config)?;
        config
            .packages
            .retain(|package| wanted.contains(package.name.as_str()));
        let outcomes = run(&config.packages)?;
        let is_built = |package: &PackageConfig| {
            let mut outcomes = outcomes.iter();
            outcomes.any(|outcome| outcome.package == package.name && outcome.result.is_ok())
        };
        let failed = failures(&config, &outcomes);
        config.packages.retain(is_built);
        let unfit = bootstrap::check_packages(&config);
        for outcome in &outcomes {
            if let Ok(built) = &outcome.result {
                print(&line(outcome.package.as_str(), built))?;
            }
        }
        match (failed, unfit) {
            (None, Ok(_)) => Ok(ExitCode::SUCCESS),
            (Some(failed), Ok(_)) => Err(failed),
            (None, Err(unfit)) => Err(unfit.into()),
            (Some(failed), Err(unfit)) => Err(Exit::not_built(format!(
                "{}\nerror: {unfit}",
                failed.message
            ))),
        }
    }

    /// The configuration, also when packages that are built by something else are not there.
    fn load(&self) -> Result<Config, Exit> {
        self.more.input(&self.file).load().or_else(|rejected| {
            let is_missing = |wrong: &Diagnostic| wrong.code == Code::FileMissing;
            let is_readable = rejected.diagnostics.as_slice().iter().all(is_missing);
            match rejected.sound {
                Some(sound) if is_readable => Ok(*sound),
                _ => Err(Exit::usage(rejected.diagnostics.to_string())),
            }
        })
    }

    fn wanted(&self, config: &Config) -> Result<BTreeSet<String>, Exit> {
        let buildable = config
            .packages
            .iter()
            .filter(|package| package.build.is_some());
        let buildable: BTreeSet<String> = buildable.map(|package| package.name.to_string()).collect();
        let file = self.file.display();
        if buildable.is_empty() {
            return Err(Exit::usage(format!(
                "error: no package in {file} has a build command; add [package.NAME.build] with command = \"…\""
            )));
        }
        if let Some(unknown) = self.names.iter().find(|name| !buildable.contains(*name)) {
            let is_package = config
                .packages
                .iter()
                .any(|package| package.name.as_str() == unknown);
            let what = if is_package {
                format!("the package {unknown:?} in {file} has no build command; add [package.{unknown}.build]")
            } else {
                let names: Vec<_> = buildable.iter().map(String::as_str).collect();
                format!(
                    "{file} has no package {unknown:?}; packages with a build command: {}",
                    names.join(", ")
                )
            };
            return Err(Exit::usage(format!("error: {what}")));
        }
        Ok(if self.names.is_empty() {
            buildable
        } else {
            self.names.iter().cloned().collect()
        })
    }
}

/// The packages that are built before a gateway serves.
pub(super) enum Which {
    /// All that have a build command.
    All,
    /// The same, and those that cannot be built are served as they were before.
    AllThatCan,
    /// Those that are not built yet.
    Missing,
}

/// Builds packages before they are served.
pub(super) fn before_serving(config: &Config, which: Which) -> Result<(), Exit> {
    let is_missing = |package: &PackageConfig| !package.source.is_there();
    let wanted = config
        .packages
        .iter()
        .filter(|package| package.build.is_some());
    let wanted = wanted.filter(|package| !matches!(which, Which::Missing) || is_missing(package));
    let wanted: Vec<_> = wanted.cloned().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let outcomes = run(&wanted)?;
    for outcome in &outcomes {
        if let Ok(built) = &outcome.result {
            tell(&line(outcome.package.as_str(), built));
        }
    }
    let Some(failed) = failures(config, &outcomes) else {
        return Ok(());
    };
    if matches!(which, Which::AllThatCan) && !wanted.iter().any(is_missing) {
        tell(&format!(
            "{}\nwhat was built before is served\n",
            failed.message
        ));
        return Ok(());
    }
    Err(failed)
}

/// Builds packages until all are built or somebody ends it.
fn run(packages: &[PackageConfig]) -> Result<Vec<Outcome>, Exit> {
    let names: Vec<_> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    tell(&format!("building {}\n", names.join(", ")));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::machine(&error))?;
    let (builder, stop) = (Builder::new(packages.len()), CancellationToken::new());
    let outcomes = runtime.block_on(async {
        let mut ends = vec![SignalKind::interrupt(), SignalKind::terminate()];
        // Its terminal is gone. Who has none is left to `nohup`.
        if io::stderr().is_terminal() {
            ends.push(SignalKind::hangup());
        }
        let signals: io::Result<Vec<Signal>> = ends.into_iter().map(signal).collect();
        let stopped = async {
            if let Ok(mut signals) = signals {
                let each = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
                select_all(each).await;
                stop.cancel();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcomes = builder.build(packages, &stop) => outcomes,
            () = stopped => Vec::new(),
        }
    });
    runtime.shutdown_background();
    if stop.is_cancelled() {
        return Err(Exit::interrupted());
    }
    Ok(outcomes)
}

/// All that was not built, as one end.
fn failures(config: &Config, outcomes: &[Outcome]) -> Option<Exit> {
    let failed = outcomes.iter().filter_map(|outcome| {
        let package = config
            .packages
            .iter()
            .find(|package| package.name == outcome.package)?;
        let failure: BuildFailure = outcome.result.as_ref().err()?.clone();
        Some(config.at_build(package, failure.into()))
    });
    let failed: Vec<_> = failed.collect();
    if failed.is_empty() {
        return None;
    }
    Some(Exit::not_built(format!(
        "error: {}",
        config.diagnostics(failed)
    )))
}

/// What is said of a package that was built.
fn line(package: &str, built: &Built) -> String {
    let what = if built.is_changed {
        "built"
    } else {
        "unchanged"
    };
    let Built { elapsed, bytes, .. } = built;
    format!(
        "{package}: {what} in {} ms, {}\n",
        milliseconds(*elapsed),
        size(*bytes)
    )
}

fn milliseconds(elapsed: Duration) -> u128 {
    elapsed.as_millis()
}

fn size(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

/// Says how it goes, beside what the tools say.
fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
