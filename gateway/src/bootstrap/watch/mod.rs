//! `up --watch`: a reload whenever a file of the configuration, a component or a component file changes.

mod wanted;

use std::{
    collections::HashMap,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::AccessKind};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::StartError;
use crate::{admin::Status, config::Config};
use wanted::Wanted;

/// The time that must pass without another change: tools write a file in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// The longest wait for that, so that a file which is written all the time is served too.
const LONGEST: Duration = Duration::from_secs(1);

/// The time between two looks whether the watched folders are still the ones that were there: one that is deleted and
/// made again is another one to the system.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Watches the files of one configuration.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    changes: mpsc::UnboundedReceiver<Event>,
    /// Device and inode of each folder that is watched.
    folders: HashMap<PathBuf, (u64, u64)>,
    wanted: Wanted,
    config: Config,
}

impl Watch {
    /// Watches what `config` was read from and names.
    ///
    /// # Errors
    /// When the system watches no files.
    pub(super) fn new(config: Config) -> Result<Self, StartError> {
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
        let mut watch = Self {
            watcher,
            changes,
            folders: HashMap::new(),
            wanted: Wanted::of(&config),
            config,
        };
        watch.follow();
        Ok(watch)
    }

    /// Has `status` reload whenever something has changed.
    pub(super) async fn run(mut self, status: Status) {
        loop {
            let change = match timeout(LOOK_AGAIN, self.changes.recv()).await {
                Ok(Some(event)) => self.wanted.concerns(&event),
                Ok(None) => return,
                Err(_) => false,
            };
            if !self.follow() && !change {
                continue;
            }
            loop {
                self.settle().await;
                // Who reads the log is told of it by the reload itself.
                let _ = status.reload().await;
                // What is watched only now may have changed before.
                if !self.refresh().await {
                    break;
                }
            }
        }
    }

    /// Waits until nothing more changes.
    async fn settle(&mut self) {
        let latest = Instant::now() + LONGEST;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            match timeout_at(quiet, self.changes.recv()).await {
                Ok(Some(_)) if Instant::now() < latest => {}
                _ => return,
            }
        }
    }

    /// Watches what the configuration names now, and returns whether some of it is new; one that is broken leaves what
    /// was.
    async fn refresh(&mut self) -> bool {
        let input = self.config.input.clone();
        let read = tokio::task::spawn_blocking(move || input.load()).await;
        let config = match read {
            Ok(Ok(config)) => config,
            Ok(Err(rejected)) => match rejected.sound {
                Some(sound) => {
                    // What is wrong may be a file that is not there yet.
                    self.wanted.add(&sound);
                    return self.follow();
                }
                None => return false,
            },
            Err(_) => return false,
        };
        self.wanted = Wanted::of(&config);
        self.config = config;
        self.follow()
    }

    /// Watches every folder that is wanted and there; returns whether one is another than before.
    fn follow(&mut self) -> bool {
        let mut is_other = false;
        let wanted = self.wanted.folders();
        self.folders.retain(|folder, _| {
            let stays = wanted.contains(folder);
            if !stays {
                // One that is gone is not watched any more.
                let _ = self.watcher.unwatch(folder);
            }
            stays
        });
        for folder in wanted {
            let now = identity(&folder);
            let before = self.folders.get(&folder).copied();
            if now == before {
                continue;
            }
            is_other |= before.is_some() || now.is_some();
            if before.is_some() {
                let _ = self.watcher.unwatch(&folder);
                self.folders.remove(&folder);
            }
            let Some(now) = now else { continue };
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder, now)),
                Err(error) => tracing::warn!(folder = %folder.display(), %error, "the folder is not watched"),
            }
        }
        is_other
    }
}

/// The device and the inode of a folder, if it is there.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(folder).ok()?;
    metadata.is_dir().then(|| (metadata.dev(), metadata.ino()))
}

/// Returns whether something was changed: that a file is read, by a reload too, is none.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(notify::event::AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
