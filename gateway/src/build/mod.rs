//! The packages' build commands: run by a shell, in parallel where they are independent, with their results.
//!
//! Only the command line builds, and only what it was given: a reload never runs a command.

mod failure;
mod process;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::config::{BuildConfig, PackageConfig, PackageName};
use process::Order;

pub use failure::BuildFailure;

/// Runs build commands, as many at once as there are cores.
#[derive(Clone)]
pub struct Builder {
    slots: Arc<Semaphore>,
    is_prefixed: bool,
}

/// What became of one package.
#[derive(Debug)]
pub struct Outcome {
    /// The package.
    pub package: PackageName,
    /// Its component, or the reason why it was not built.
    pub result: Result<Built, BuildFailure>,
}

/// A component that was built.
#[derive(Debug)]
pub struct Built {
    /// The time that the command took.
    pub elapsed: Duration,
    /// The size of the component's file, in bytes.
    pub bytes: u64,
    /// Whether the file is another one than before.
    pub is_changed: bool,
}

impl Builder {
    /// A builder for so many packages: with more than one, each line of the tools' output begins with the packages that
    /// it is about.
    pub fn new(packages: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            slots: Arc::new(Semaphore::new(cores)),
            is_prefixed: packages > 1,
        }
    }

    /// Builds packages, those that have a build command. Packages with one command in one folder are built by one run,
    /// and commands in the same folder one after the other: they write to the same files. `stop` ends all of it; so
    /// does dropping the future, at once.
    pub async fn build(&self, packages: &[PackageConfig], stop: &CancellationToken) -> Vec<Outcome> {
        let mut folders = JoinSet::new();
        for commands in by_folder(packages).into_values() {
            let (builder, stop) = (self.clone(), stop.clone());
            folders.spawn(async move {
                let mut outcomes = Vec::new();
                for command in commands.into_values() {
                    outcomes.extend(builder.run(command, &stop).await);
                }
                outcomes
            });
        }
        let ended: Vec<Result<Vec<Outcome>, JoinError>> = {
            let mut ended = Vec::new();
            while let Some(folder) = folders.join_next().await {
                ended.push(folder);
            }
            ended
        };
        let mut outcomes: Vec<Outcome> = ended.into_iter().flatten().flatten().collect();
        outcomes.sort_by(|one, other| one.package.cmp(&other.package));
        outcomes
    }

    /// Runs the command of packages that share it.
    async fn run(&self, packages: Vec<PackageConfig>, stop: &CancellationToken) -> Vec<Outcome> {
        let Some(build) = packages.first().and_then(|first| first.build.clone()) else {
            return Vec::new();
        };
        let before: Vec<_> = packages.iter().map(Stamp::of).collect();
        let names = packages
            .iter()
            .map(|package| package.name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        // Never closed.
        let _slot = self.slots.acquire().await;
        let started = Instant::now();
        let order = Order {
            command: &build.command,
            folder: &build.workdir,
            // The longest time that any of them may take.
            timeout: longest(&packages).unwrap_or(build.timeout),
            prefix: self.is_prefixed.then_some(names),
        };
        let ended = process::run(order, stop).await;
        let elapsed = started.elapsed();
        let each = packages.into_iter().zip(before);
        let each = each.map(|(package, before)| Outcome {
            result: ended.clone().and_then(|()| made(&package, before, elapsed)),
            package: package.name,
        });
        each.collect()
    }
}

/// The packages that are built: by folder, then by command.
fn by_folder(packages: &[PackageConfig]) -> BTreeMap<PathBuf, BTreeMap<String, Vec<PackageConfig>>> {
    let mut folders: BTreeMap<PathBuf, BTreeMap<String, Vec<PackageConfig>>> = BTreeMap::new();
    for package in packages {
        if let Some(BuildConfig {
            command, workdir, ..
        }) = &package.build
        {
            let folder = fs::canonicalize(workdir).unwrap_or_else(|_| workdir.clone());
            let commands = folders.entry(folder).or_default();
            commands
                .entry(command.clone())
                .or_default()
                .push(package.clone());
        }
    }
    folders
}

fn longest(packages: &[PackageConfig]) -> Option<Duration> {
    let builds = packages.iter().filter_map(|package| package.build.as_ref());
    builds.map(|build| build.timeout).max()
}

/// What a command that ended well has made of a package.
fn made(package: &PackageConfig, before: Option<Stamp>, elapsed: Duration) -> Result<Built, BuildFailure> {
    let missing = || BuildFailure::NothingWritten {
        path: package.source.file().unwrap_or(Path::new("")).to_owned(),
    };
    let after = Stamp::of(package).ok_or_else(missing)?;
    if after.bytes == 0 {
        return Err(missing());
    }
    Ok(Built {
        elapsed,
        bytes: after.bytes,
        is_changed: before.as_ref() != Some(&after),
    })
}

/// The marks by which a file is told from what was there before.
#[derive(Debug, PartialEq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(package: &PackageConfig) -> Option<Self> {
        let metadata = fs::metadata(package.source.file()?).ok()?;
        metadata.is_file().then(|| Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}
