//! `up --watch`: a build whenever sources have changed, and a reload whenever a file of the configuration, a component
//! or a component file has.

mod builds;
mod sources;
mod wanted;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::AccessKind};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::StartError;
use crate::{
    admin::Status,
    build::Outcome,
    config::{Config, PackageConfig},
};
use builds::Builds;
use sources::Sources;
use wanted::{Wanted, absolute};

/// The time that must pass without another change: tools write a file in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// The longest wait for that, so that a file which is written all the time is served too.
const LONGEST: Duration = Duration::from_secs(1);

/// The time between two looks whether the watched folders are still the ones that were there: one that is deleted and
/// made again is another one to the system.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The looks at sources in a row, each of which may find folders that are to be watched; the next ones come with the
/// next change.
const MAX_LOOKS: usize = 3;

/// Watches the files of one configuration.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    changes: mpsc::UnboundedReceiver<Event>,
    /// Device and inode of each folder that is watched.
    folders: HashMap<PathBuf, Identity>,
    /// Folders that the system does not watch for us, which are looked at again and again.
    unwatched: BTreeSet<PathBuf>,
    wanted: Wanted,
    sources: Sources,
    builds: Builds,
    /// The components that build commands make, as they were when they were last looked at.
    made: HashMap<PathBuf, Option<Identity>>,
    config: Config,
    heard: Heard,
    /// What is served is not what is on disk, since that had mistakes.
    is_owed: bool,
}

type Identity = (u64, u64, i64, i64);

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
    /// Watches what `config` was read from and names, and the sources of its packages, as they were `since` they were
    /// built.
    ///
    /// # Errors
    /// When the system watches no files.
    pub(super) fn new(config: Config, since: SystemTime) -> Result<Self, StartError> {
        let (changed, changes) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            match event {
                Ok(event) if is_change(&event) => drop(changed.send(event)),
                Ok(_) => {}
                // It says so when it has lost some: what that was is found by reading all again.
                Err(_) => drop(changed.send(Event::default().set_flag(notify::event::Flag::Rescan))),
            }
        });
        let watcher = watcher.map_err(|error| StartError::Machine(format!("the system watches no files: {error}")))?;
        let wanted = Wanted::of(&config);
        let mut watch = Self {
            watcher,
            changes,
            folders: HashMap::new(),
            unwatched: BTreeSet::new(),
            sources: Sources::of(&config, wanted.no_sources(&config)),
            wanted,
            builds: Builds::new(&config),
            made: HashMap::new(),
            config,
            heard: Heard::default(),
            is_owed: false,
        };
        watch.look_at_components();
        // What comes between the first look and the watch is found by the second.
        watch.follow();
        watch.heard = Heard {
            is_look_due: true,
            ..Heard::default()
        };
        for (package, files) in watch.sources.written_since(since) {
            watch.builds.want(package, files);
        }
        Ok(watch)
    }

    /// Has `status` reload whenever something has changed, and builds whatever sources have changed.
    pub(super) async fn run(mut self, status: Status) {
        let mut look_again = Instant::now();
        loop {
            tokio::select! {
                event = timeout_at(look_again, self.changes.recv()) => match event {
                    Ok(Some(event)) => {
                        self.hear(&event);
                        if !self.heard.is_any() {
                            continue;
                        }
                        self.settle().await;
                    }
                    Ok(None) => return,
                    Err(_) => {
                        look_again = Instant::now() + LOOK_AGAIN;
                        self.heard.is_look_due |= !self.unwatched.is_empty();
                    }
                },
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
            match timeout_at(quiet, self.changes.recv()).await {
                Ok(Some(event)) => {
                    self.hear(&event);
                    if Instant::now() >= latest {
                        return;
                    }
                }
                _ => return,
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
            if self.wanted.concerns(path) && !self.is_made_here(path) {
                self.heard.is_reload_due = true;
            }
        }
    }

    /// Returns whether a path is one of the components that a build is at work on, or that is known as it is now: the
    /// end of the build reloads them.
    fn is_made_here(&mut self, path: &Path) -> bool {
        let Some(known) = self.made.get_mut(path) else {
            return false;
        };
        let Some(package) = self.config.packages.iter().find(|package| {
            let source = package.source.file();
            source.is_some_and(|source| wanted::ways_to(source).contains(path))
        }) else {
            return false;
        };
        if self.builds.is_at_work(&package.name) {
            return true;
        }
        let now = identity(path);
        std::mem::replace(known, now) == now
    }

    /// Looks at the components that build commands make.
    fn look_at_components(&mut self) {
        let built = self
            .config
            .packages
            .iter()
            .filter(|package| package.build.is_some());
        let files = built.filter_map(|package| package.source.file());
        let paths = files.flat_map(wanted::ways_to);
        self.made = paths
            .map(|path| {
                let identity = identity(&path);
                (path, identity)
            })
            .collect();
    }

    /// Looks at the sources again, and wants the packages to be built that have others.
    fn look(&mut self) {
        for _ in 0..MAX_LOOKS {
            if !std::mem::take(&mut self.heard.is_look_due) {
                return;
            }
            let touched = std::mem::take(&mut self.heard.touched);
            for (package, files) in self.sources.look(&touched) {
                self.builds.want(package, files);
            }
            // Folders may have come, with files in them.
            self.follow();
        }
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
        self.look_at_components();
    }

    /// Has the configuration and the components read again, unless one of them is just being made: then the end of its
    /// build does.
    async fn reload(&mut self, status: &Status) {
        self.heard.is_reload_due = false;
        self.refresh().await;
        let is_awaited = |package: &PackageConfig| {
            let is_other = |file: &Path| self.made.get(&absolute(file)) != Some(&identity(file));
            let is_half_made = || package.source.file().is_some_and(is_other);
            self.builds.is_under_way(&package.name) && (!package.source.is_there() || is_half_made())
        };
        if self.config.packages.iter().any(is_awaited) {
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
        self.look_at_components();
    }

    /// Watches every folder that is wanted and there. Those that are others than before may hold what nobody was told
    /// of.
    fn follow(&mut self) {
        let files = self.wanted.folders();
        let wanted: BTreeSet<PathBuf> = files
            .iter()
            .chain(self.sources.folders())
            .cloned()
            .collect();
        self.folders.retain(|folder, _| {
            let stays = wanted.contains(folder);
            if !stays {
                // One that is gone is not watched any more.
                let _ = self.watcher.unwatch(folder);
            }
            stays
        });
        self.unwatched.retain(|folder| wanted.contains(folder));
        for folder in wanted {
            let now = folder_identity(&folder);
            let before = self.folders.get(&folder).copied();
            if now == before {
                continue;
            }
            if before.is_some() || (now.is_some() && !self.unwatched.contains(&folder)) {
                self.heard.is_reload_due |= files.contains(&folder);
                self.heard.is_look_due = true;
            }
            if before.is_some() {
                let _ = self.watcher.unwatch(&folder);
                self.folders.remove(&folder);
            }
            let Some(now) = now else { continue };
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.unwatched.remove(&folder);
                    self.folders.insert(folder, now);
                }
                Err(error) => {
                    if self.unwatched.insert(folder.clone()) {
                        tracing::warn!(folder = %folder.display(), %error, "the folder is not watched, and is looked at once a second");
                    }
                }
            }
        }
    }
}

impl Heard {
    fn is_any(&self) -> bool {
        self.is_reload_due || self.is_look_due
    }
}

/// The marks of a file: another one, or another content, has others.
fn identity(file: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}

/// The device and the inode of a folder, if it is there.
fn folder_identity(folder: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(folder).ok()?;
    metadata
        .is_dir()
        .then(|| (metadata.dev(), metadata.ino(), 0, 0))
}

/// Returns whether something was changed: that a file is read, by a reload too, is none.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(notify::event::AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
