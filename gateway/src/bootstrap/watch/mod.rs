//! `up --watch`: builds when sources change, and reloads when a file of the configuration, a component or a component
//! file changes.

mod builds;
mod by_hand;
mod folders;
mod made;
mod sources;
mod stamp;
mod wanted;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use notify::Event;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{admin::Status, build::Outcome, config::Config};
use builds::Builds;
use folders::Folders;
use made::Made;
use sources::Sources;
use stamp::Stamp;
use wanted::Wanted;

/// The quiet period before reacting to changes: tools write files in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// The maximum wait for a quiet period, for files that are written all the time.
const LONGEST: Duration = Duration::from_secs(1);

/// The interval at which the watched folders are checked for replacement: a recreated folder is another one for the
/// system. Folders that it does not watch are polled then.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Polling may take this fraction of a core; with more to poll it is delayed.
const LOOKS_PART: u32 = 20;

/// The maximum number of scans of sources in a row, each of which may find new folders to watch; further ones wait for
/// the next change.
const MAX_LOOKS: usize = 3;

/// How changes are detected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WatchBy {
    /// By notifications of the system; polling where there are none.
    Events,
    /// By polling all files once a second: for folders without notifications, such as those shared by a virtual machine
    /// or another computer.
    Looking,
}

/// The settings of `--watch`.
#[derive(Clone, Copy, Debug)]
pub struct Watching {
    /// How changes are detected.
    pub by: WatchBy,
    /// When the packages were last built.
    pub since: SystemTime,
}

/// Watches the files of one configuration.
pub(super) struct Watch {
    folders: Folders,
    wanted: Wanted,
    /// The stamps of wanted files, while there are folders that must be polled.
    looked: HashMap<PathBuf, Option<Stamp>>,
    sources: Sources,
    builds: Builds,
    made: Made,
    config: Config,
    heard: Heard,
    /// The files on disk are not served, since they had mistakes.
    is_owed: bool,
}

/// Pending changes.
#[derive(Default)]
struct Heard {
    /// A file of the configuration, a component or a component file.
    is_reload_due: bool,
    /// Something in a folder of sources.
    is_look_due: bool,
    touched: HashSet<PathBuf>,
}

impl Watch {
    /// Watches the files that `config` was read from and names, and the sources of its packages, starting from their
    /// last build.
    pub(super) fn new(config: Config, watching: Watching) -> Self {
        let wanted = Wanted::of(&config);
        let mut watch = Self {
            folders: Folders::new(watching.by),
            looked: HashMap::new(),
            sources: Sources::of(&config, wanted.no_sources(&config)),
            wanted,
            builds: Builds::new(&config),
            made: Made::of(&config),
            config,
            heard: Heard::default(),
            is_owed: false,
        };
        // Changes between the first scan and the watch are found by the second scan.
        watch.follow();
        watch.heard = Heard {
            is_look_due: true,
            ..Heard::default()
        };
        watch.looked = watch.marks();
        for (package, files) in watch.sources.written_since(watching.since) {
            watch.builds.want(package, files);
        }
        watch
    }

    /// Reloads through `status` when something has changed, and builds packages whose sources have changed.
    pub(super) async fn run(mut self, status: Status) {
        let mut look_again = Instant::now();
        loop {
            tokio::select! {
                event = self.folders.event() => {
                    self.hear(&event);
                    if !self.heard.is_any() {
                        continue;
                    }
                    self.settle().await;
                }
                () = sleep_until(look_again) => {
                    let took = self.look_by_hand().await;
                    look_again = Instant::now() + LOOK_AGAIN.max(took * LOOKS_PART);
                }
                outcomes = self.builds.ended() => self.take(&outcomes),
            }
            self.follow();
            if self.heard.is_look_due {
                self.look();
            }
            if self.heard.is_reload_due {
                self.reload(&status).await;
            }
            self.builds.start(&self.config);
        }
    }

    /// Waits for a quiet period.
    async fn settle(&mut self) {
        let latest = Instant::now() + LONGEST;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            let Ok(event) = timeout_at(quiet, self.folders.event()).await else {
                return;
            };
            self.hear(&event);
            if Instant::now() >= latest {
                return;
            }
        }
    }

    /// Classifies an event.
    fn hear(&mut self, event: &Event) {
        if event.need_rescan() {
            self.heard.is_reload_due = true;
            self.heard.is_look_due = true;
        }
        for path in &event.paths {
            if self.sources.are_near(path) {
                self.heard.is_look_due = true;
                self.heard.touched.insert(path.clone());
            }
            if self.wanted.concerns(path) && !self.made.is_expected(path, &self.builds) {
                self.heard.is_reload_due = true;
            }
        }
    }

    /// Scans the sources, and requests builds of packages with changes. Returns whether there are some.
    fn look(&mut self) -> bool {
        let mut is_changed = false;
        for _ in 0..MAX_LOOKS {
            if !std::mem::take(&mut self.heard.is_look_due) {
                break;
            }
            let touched = std::mem::take(&mut self.heard.touched);
            for (package, files) in self.sources.look(&touched) {
                is_changed = true;
                self.builds.want(package, files);
            }
            // There may be new folders with files.
            self.follow();
        }
        is_changed
    }

    /// Logs the results of a build, and schedules a reload of its components.
    fn take(&mut self, outcomes: &[Outcome]) {
        for Outcome { package, result } in outcomes {
            match result {
                Ok(built) => {
                    let milliseconds = u64::try_from(built.elapsed.as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(%package, milliseconds, bytes = built.bytes, is_changed = built.is_changed, "the package was built");
                    self.heard.is_reload_due |= built.is_changed;
                }
                Err(error) => {
                    tracing::error!(%package, %error, "the package was not built; what was served is served still");
                }
            }
        }
        self.heard.is_reload_due |= self.is_owed;
        self.made = Made::of(&self.config);
    }

    /// Reloads, unless a component is being built: then the end of its build does.
    async fn reload(&mut self, status: &Status) {
        self.heard.is_reload_due = false;
        self.refresh().await;
        let mut packages = self.config.packages.iter();
        if packages.any(|package| self.made.is_awaited(package, &self.builds)) {
            self.is_owed = true;
            return;
        }
        // The reload logs its own result.
        self.is_owed = status.reload().await.is_err();
    }

    /// Watches what the configuration names now, before it is served, so that no change is missed; a broken one changes
    /// nothing.
    async fn refresh(&mut self) {
        let input = self.config.input.clone();
        let read = tokio::task::spawn_blocking(move || input.load()).await;
        match read {
            Ok(Ok(config)) => self.turn_to(config),
            Ok(Err(rejected)) => {
                if let Some(sound) = rejected.sound {
                    // The mistake may be a missing file.
                    self.wanted.add(&sound);
                }
            }
            Err(_) => {}
        }
        self.follow();
        // Everything is read after this.
        self.heard.is_reload_due = false;
        self.looked = self.marks();
    }

    fn turn_to(&mut self, config: Config) {
        let command = |config: &Config, name| {
            let package = config
                .packages
                .iter()
                .find(|package| package.name == name)?;
            let build = package.build.as_ref()?;
            Some((build.command.clone(), build.workdir.clone()))
        };
        self.wanted = Wanted::of(&config);
        self.sources
            .turn_to(&config, self.wanted.no_sources(&config));
        for package in &config.packages {
            let name = || package.name.clone();
            let is_new = command(&config, name()) != command(&self.config, name());
            let is_missing = || !package.source.is_there() && !self.builds.has_failed(&package.name);
            if package.build.is_some() && (is_new || is_missing()) {
                self.builds.insist(name());
            }
        }
        self.config = config;
        self.made = Made::of(&self.config);
    }

    /// Watches all wanted folders. Replaced ones may contain unreported changes.
    fn follow(&mut self) {
        let files = self.wanted.folders();
        let sources = self.sources.folders().cloned();
        let wanted: BTreeSet<PathBuf> = files.iter().cloned().chain(sources).collect();
        for folder in self.folders.follow(&wanted) {
            self.heard.is_reload_due |= files.contains(&folder);
            self.heard.is_look_due = true;
        }
    }
}

impl Heard {
    fn is_any(&self) -> bool {
        self.is_reload_due || self.is_look_due
    }
}
