//! `wasmgate cache`: lists the cache, and removes unused entries.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use wasmgate::{
    bootstrap::{self, Cached, Kind},
    config::Config,
};

use super::{Exit, File, counted, print};

/// Its commands.
#[derive(Subcommand)]
pub(crate) enum Cache {
    /// List its entries, compiled code and pulled components, and the packages that use them
    List(List),
    /// Remove entries that neither a package nor a running gateway uses
    Prune(Of),
}

/// The arguments of both.
#[derive(Args)]
pub(crate) struct Of {
    #[command(flatten)]
    file: File,
    /// Another configuration with the same cache; its packages count too
    #[arg(long, value_name = "FILE")]
    also: Vec<PathBuf>,
}

/// The arguments of the list.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    of: Of,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Cache {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        match self {
            Self::List(list) => list.run(),
            Self::Prune(of) => of.prune(),
        }
    }
}

impl List {
    fn run(self) -> Result<ExitCode, Exit> {
        let configs = self.of.load()?;
        let cached = bootstrap::cached(&configs)?;
        if self.json {
            let text = serde_json::to_string_pretty(&cached).map_err(|error| Exit::machine(&error))?;
            print(&format!("{text}\n"))?;
        } else {
            print(&table(directory(&configs), &cached))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Of {
    /// The configurations, which have one cache.
    fn load(self) -> Result<Vec<Config>, Exit> {
        let mut configs = vec![self.file.load()?];
        for file in self.also {
            let other = self.file.beside(&file)?;
            let own = directory(&configs);
            if other.server.cache != own {
                return Err(Exit::usage(format!(
                    "error: {} has its cache in {}, and not in {}",
                    file.display(),
                    other.server.cache.display(),
                    own.display()
                )));
            }
            configs.push(other);
        }
        Ok(configs)
    }

    fn prune(self) -> Result<ExitCode, Exit> {
        let configs = self.load()?;
        let (removed, kept) = bootstrap::prune(&configs)?;
        print(&format!(
            "removed from {}: {}; kept: {}\n",
            directory(&configs).display(),
            sum(removed.iter()),
            sum(kept.iter())
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn directory(configs: &[Config]) -> &Path {
    configs
        .first()
        .map_or(Path::new(""), |config| &config.server.cache)
}

fn table(directory: &Path, cached: &[Cached]) -> String {
    let rows: Vec<_> = cached
        .iter()
        .map(|cached| {
            [
                size(cached.bytes),
                kind(cached.kind).to_owned(),
                users(cached),
                cached.file.clone(),
            ]
        })
        .collect();
    let head = ["SIZE", "KIND", "USED BY", "FILE"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let (sizes, kinds, users) = (width(0), width(1), width(2));
    let lines: String = [&head]
        .into_iter()
        .chain(&rows)
        .map(|[size, kind, by, file]| format!("{size:>sizes$}  {kind:kinds$}  {by:users$}  {file}\n"))
        .collect();
    let (used, unused): (Vec<_>, Vec<_>) = cached.iter().partition(|cached| cached.is_used());
    let sums = format!(
        "{}: {} used, {} unused\n",
        directory.display(),
        sum(used.into_iter()),
        sum(unused.into_iter())
    );
    if cached.is_empty() {
        sums
    } else {
        format!("{lines}\n{sums}")
    }
}

/// A number of files, and their size.
fn sum<'a>(cached: impl Iterator<Item = &'a Cached> + Clone) -> String {
    let bytes = cached.clone().map(|cached| cached.bytes).sum();
    format!("{} ({})", counted(cached.count(), "file"), size(bytes))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Code => "code",
        Kind::Pulled => "pulled",
        Kind::Tag => "tag",
        Kind::Leftover => "leftover",
    }
}

fn users(cached: &Cached) -> String {
    let served = cached.is_served.then(|| "a running gateway".to_owned());
    let users: BTreeSet<_> = cached.packages.iter().cloned().chain(served).collect();
    if users.is_empty() {
        return "-".to_owned();
    }
    users.into_iter().collect::<Vec<_>>().join(", ")
}

fn size(bytes: u64) -> String {
    const MIB: f64 = 1_048_576.0;
    let bytes = bytes as f64;
    if bytes < MIB {
        format!("{:.1} KiB", bytes / 1024.0)
    } else {
        format!("{:.1} MiB", bytes / MIB)
    }
}
