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

/// The time that must pass without another change: tools write a file in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// The longest wait for that, so that a file which is written all the time is served too.
const LONGEST: Duration = Duration::from_secs(1);

/// The time between two looks whether the watched folders are still the ones that were there: one that is deleted and
/// made again is another one to the system. Folders that it does not watch are looked at then.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One part in so many of a core may go into such looks; where there is more to look at they come later.
const LOOKS_PART: u32 = 20;

/// The looks at sources in a row, each of which may find folders that are to be watched; the next ones come with the
/// next change.
const MAX_LOOKS: usize = 3;

/// How changes are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WatchBy {
    /// The system tells of them; where it does not, files are looked at.
    Events,
    /// All files are looked at, once a second: for folders of which the system tells nothing, as many that a virtual
    /// machine or another computer has a part in.
    Looking,
}

/// What is built and reloaded by itself.
#[derive(Clone, Copy, Debug)]
pub struct Watching {
    /// How changes are found.
    pub by: WatchBy,
    /// The time at which the packages were last built.
    pub since: SystemTime,
}

/// Watches the files of one configuration.
pub(super) struct Watch {
    folders: Folders,
    wanted: Wanted,
    /// The marks of what is wanted, as long as there are folders that must be looked at.
    looked: HashMap<PathBuf, Option<Stamp>>,
    sources: Sources,
    builds: Builds,
    made: Made,
    config: Config,
    heard: Heard,
    /// What is served is not what is on disk, since that had mistakes.
    is_owed: bool,
}

/// What has changed and is still to be dealt with.
#[derive(Default)]
struct Heard {
    /// A file of the configuration, a component or a component file.
    is_reload_due: bool,
    /// Something where sources are.
    is_look_due: bool,
    touched: HashSet<PathBuf>,
}

impl Watch {
    /// Watches what `config` was read from and names, and the sources of its packages, as they were when they were
    /// built.
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
        // What comes between the first look and the watch is found by the second.
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

    /// Has `status` reload whenever something has changed, and builds whatever sources have changed.
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

    /// Waits until nothing more changes.
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

    /// Notes what an event is about.
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

    /// Looks at the sources again, and wants the packages to be built that have others. True if there are some.
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
            // Folders may have come, with files in them.
            self.follow();
        }
        is_changed
    }

    /// Tells what became of a build, and has what it has made served.
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

    /// Has the configuration and the components read again, unless one of them is just being made: then the end of its
    /// build does.
    async fn reload(&mut self, status: &Status) {
        self.heard.is_reload_due = false;
        self.refresh().await;
        let mut packages = self.config.packages.iter();
        if packages.any(|package| self.made.is_awaited(package, &self.builds)) {
            self.is_owed = true;
            return;
        }
        // Who reads the log is told of it by the reload itself.
        self.is_owed = status.reload().await.is_err();
    }

    /// Watches what the configuration names now, before it is served, so that no change is missed; one that is broken
    /// leaves what was.
    async fn refresh(&mut self) {
        let input = self.config.input.clone();
        let read = tokio::task::spawn_blocking(move || input.load()).await;
        match read {
            Ok(Ok(config)) => self.turn_to(config),
            Ok(Err(rejected)) => {
                if let Some(sound) = rejected.sound {
                    // What is wrong may be a file that is not there yet.
                    self.wanted.add(&sound);
                }
            }
            Err(_) => {}
        }
        self.follow();
        // What is watched only now is read only after this.
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

    /// Watches every folder that is wanted. Those that are others than before may hold what nobody was told of.
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
