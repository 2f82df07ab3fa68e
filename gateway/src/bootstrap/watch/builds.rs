//! The builds of a gateway that watches sources: one at a time per folder, and one more for changes saved meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    build::{Builder, Outcome},
    config::{Config, PackageConfig, PackageName},
};

/// How many builds in a row may each be caused by the previous one, as by a tool that writes among its own sources;
/// further ones are delayed more and more.
const QUICK_IN_A_ROW: u32 = 5;

/// The maximum delay of such a build.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The builds of one gateway.
pub(super) struct Builds {
    builder: Builder,
    running: JoinSet<(PathBuf, Vec<Outcome>)>,
    /// The folders of running builds, with their packages.
    at_work: BTreeMap<PathBuf, Vec<PackageName>>,
    waiting: BTreeMap<PackageName, Wish>,
    /// The last build of each package.
    last: HashMap<PackageName, Last>,
}

/// A request to build a package.
#[derive(Default)]
struct Wish {
    files: BTreeSet<PathBuf>,
    /// Build it regardless of changes.
    is_certain: bool,
}

/// The last build of a package, which may be running.
struct Last {
    began: SystemTime,
    ended: Option<(SystemTime, Instant)>,
    /// The number of builds in a row that were caused only by files written during the previous build, with the
    /// contents of these files.
    in_a_row: u32,
    contents: HashMap<PathBuf, u64>,
    has_failed: bool,
}

impl Builds {
    /// No builds so far, for the packages of this configuration.
    pub(super) fn new(config: &Config) -> Self {
        let with_command = config
            .packages
            .iter()
            .filter(|package| package.build.is_some());
        Self {
            builder: Builder::new(with_command.count()),
            running: JoinSet::new(),
            at_work: BTreeMap::new(),
            waiting: BTreeMap::new(),
            last: HashMap::new(),
        }
    }

    /// Requests a build of a package, because these sources have changed.
    pub(super) fn want(&mut self, package: PackageName, files: BTreeSet<PathBuf>) {
        self.waiting.entry(package).or_default().files.extend(files);
    }

    /// Requests a build in any case.
    pub(super) fn insist(&mut self, package: PackageName) {
        self.waiting.entry(package).or_default().is_certain = true;
    }

    /// Returns whether a package is being built.
    pub(super) fn is_at_work(&self, package: &PackageName) -> bool {
        self.at_work.values().flatten().any(|name| name == package)
    }

    /// Returns whether a package is being built or waits for it.
    pub(super) fn is_under_way(&self, package: &PackageName) -> bool {
        self.waiting.contains_key(package) || self.is_at_work(package)
    }

    /// Returns whether the last build of a package has failed: the next one needs a change.
    pub(super) fn has_failed(&self, package: &PackageName) -> bool {
        self.last.get(package).is_some_and(|last| last.has_failed)
    }

    /// Starts requested builds in folders without a running one.
    pub(super) fn start(&mut self, config: &Config) {
        let mut folders: BTreeMap<PathBuf, Vec<PackageConfig>> = BTreeMap::new();
        for package in &config.packages {
            let Some(build) = &package.build else {
                continue;
            };
            if !self.at_work.contains_key(&build.workdir) && self.is_due(package) {
                folders
                    .entry(build.workdir.clone())
                    .or_default()
                    .push(package.clone());
            }
        }
        let is_there = |name: &PackageName| config.packages.iter().any(|package| package.name == *name);
        self.waiting.retain(|package, _| is_there(package));
        for (folder, packages) in folders {
            let names: Vec<_> = packages
                .iter()
                .map(|package| package.name.clone())
                .collect();
            tracing::info!(
                packages = names
                    .iter()
                    .map(PackageName::as_str)
                    .collect::<Vec<_>>()
                    .join(", "),
                "building"
            );
            self.at_work.insert(folder.clone(), names);
            let builder = self.builder.clone();
            self.running.spawn(async move {
                let outcomes = builder.build(&packages, &CancellationToken::new()).await;
                (folder, outcomes)
            });
        }
    }

    /// Takes a request if it is due, and there is still a reason.
    fn is_due(&mut self, package: &PackageConfig) -> bool {
        let Some(wish) = self.waiting.get(&package.name) else {
            return false;
        };
        let mut next = Last::now();
        if let Some(last) = self.last.get(&package.name)
            && !wish.is_certain
            && wish.files.iter().all(|file| last.was_written_during(file))
        {
            let contents: HashMap<_, _> = wish
                .files
                .iter()
                .map(|file| (file.clone(), content(file)))
                .collect();
            let is_known = |(file, content): (&PathBuf, &u64)| last.contents.get(file) == Some(content);
            if contents.iter().all(is_known) {
                self.waiting.remove(&package.name);
                return false;
            }
            next.in_a_row = last.in_a_row + 1;
            let paused = last.ended.map_or(Duration::ZERO, |(_, at)| at.elapsed());
            if paused < pause(next.in_a_row) {
                return false;
            }
            if next.in_a_row == QUICK_IN_A_ROW + 1 {
                let files = wish
                    .files
                    .iter()
                    .take(5)
                    .map(|file| file.display().to_string());
                tracing::warn!(package = %package.name, files = files.collect::<Vec<_>>().join(", "),
                    "each build changes files that are watched, and so causes the next one; name the sources in `watch` of its `build`, without these");
            }
            next.contents = contents;
        }
        self.waiting.remove(&package.name);
        self.last.insert(package.name.clone(), next);
        true
    }

    /// Waits for the end of a build.
    pub(super) async fn ended(&mut self) -> Vec<Outcome> {
        let Some(Ok((folder, outcomes))) = self.running.join_next().await else {
            return std::future::pending().await;
        };
        self.at_work.remove(&folder);
        for outcome in &outcomes {
            if let Some(last) = self.last.get_mut(&outcome.package) {
                last.ended = Some((SystemTime::now(), Instant::now()));
                last.has_failed = outcome.result.is_err();
            }
        }
        outcomes
    }
}

impl Last {
    fn now() -> Self {
        Self {
            began: SystemTime::now(),
            ended: None,
            in_a_row: 0,
            contents: HashMap::new(),
            has_failed: false,
        }
    }

    /// Returns whether a file was written while this build was running, by the build or by others.
    fn was_written_during(&self, file: &Path) -> bool {
        let modified = file.metadata().and_then(|file| file.modified());
        let until = self.ended.map(|(at, _)| at);
        modified.is_ok_and(|at| at >= self.began && until.is_none_or(|until| at <= until))
    }
}

/// The delay between builds in a row.
fn pause(in_a_row: u32) -> Duration {
    let slow = in_a_row.saturating_sub(QUICK_IN_A_ROW);
    if slow == 0 {
        return Duration::ZERO;
    }
    let seconds = 1_u64.checked_shl(slow - 1).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).min(LONGEST_PAUSE)
}

fn content(file: &PathBuf) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::fs::read(file).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}
