//! The watched folders: by notifications of the system or, where there are none, by polling.

use std::{
    collections::{BTreeSet, HashMap},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use notify::{
    Error, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, Flag},
};
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::WatchBy;

/// Watched and polled folders.
pub(super) struct Folders {
    /// `None` without notifications.
    watcher: Option<RecommendedWatcher>,
    events: mpsc::UnboundedReceiver<Event>,
    /// Folders watched by the system, with their identity.
    watched: HashMap<PathBuf, Identity>,
    /// Folders that must be polled.
    unwatched: BTreeSet<PathBuf>,
    /// Whether a warning about them was logged.
    is_told: bool,
}

/// Device and inode of a folder.
type Identity = (u64, u64);

impl Folders {
    /// Without folders. If the system provides no notifications, that is logged, and folders are polled.
    pub(super) fn new(by: WatchBy) -> Self {
        let (changed, events) = mpsc::unbounded_channel();
        let mut folders = Self {
            watcher: None,
            events,
            watched: HashMap::new(),
            unwatched: BTreeSet::new(),
            is_told: by == WatchBy::Looking,
        };
        if by == WatchBy::Looking {
            return folders;
        }
        match notify::recommended_watcher(move |event| hear(event, &changed)) {
            Ok(watcher) => folders.watcher = Some(watcher),
            Err(error) => {
                folders.is_told = true;
                tracing::warn!(%error, "the system watches no files, which are looked at once a second instead{}", remedy(&error));
            }
        }
        folders
    }

    /// Waits for the next event.
    pub(super) async fn event(&mut self) -> Event {
        if self.watcher.is_none() {
            return std::future::pending().await;
        }
        match self.events.recv().await {
            Some(event) => event,
            None => {
                // Its thread has ended.
                tracing::warn!("the system watches files no more, which are looked at once a second instead");
                self.watcher = None;
                self.unwatched
                    .extend(self.watched.drain().map(|(folder, _)| folder));
                self.is_told = true;
                rescan()
            }
        }
    }

    /// The next event, if there is one.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Returns whether there are folders that must be polled.
    pub(super) fn has_unwatched(&self) -> bool {
        !self.unwatched.is_empty()
    }

    /// Watches exactly these folders, as far as they exist. Returns those that may contain unreported changes: new
    /// ones, recreated ones, and ones that were not watched.
    pub(super) fn follow(&mut self, wanted: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let left: Vec<_> = self
            .watched
            .keys()
            .filter(|folder| !wanted.contains(*folder))
            .cloned()
            .collect();
        left.iter().for_each(|folder| self.leave(folder));
        self.unwatched
            .retain(|folder| wanted.contains(folder) && folder.is_dir());
        let (mut other, mut refused) = (BTreeSet::new(), None);
        for folder in wanted {
            let (now, before) = (identity(folder), self.watched.get(folder).copied());
            if now == before {
                continue;
            }
            if before.is_some() {
                other.insert(folder.clone());
                self.leave(folder);
            }
            let Some(now) = now else { continue };
            match self.watch(folder) {
                Ok(()) => {
                    other.insert(folder.clone());
                    self.unwatched.remove(folder);
                    self.watched.insert(folder.clone(), now);
                }
                Err(error) => {
                    if self.unwatched.insert(folder.clone()) {
                        other.insert(folder.clone());
                    }
                    refused = error.map(|error| (folder, error)).or(refused);
                }
            }
        }
        self.tell(refused);
        other
    }

    /// Registers a folder with the system.
    ///
    /// # Errors
    /// With the system's error, if any.
    fn watch(&mut self, folder: &Path) -> Result<(), Option<Error>> {
        let watcher = self.watcher.as_mut().ok_or(None)?;
        watcher
            .watch(folder, RecursiveMode::NonRecursive)
            .map_err(Some)
    }

    fn leave(&mut self, folder: &Path) {
        self.watched.remove(folder);
        if let Some(watcher) = &mut self.watcher {
            // A removed folder is not watched any more.
            let _ = watcher.unwatch(folder);
        }
    }

    /// Logs once that folders are not watched, and once that all are again.
    fn tell(&mut self, refused: Option<(&PathBuf, Error)>) {
        let count = self.unwatched.len();
        match refused {
            Some((folder, error)) if !self.is_told => {
                self.is_told = true;
                tracing::warn!(folder = %folder.display(), %error, folders = count,
                    "the system does not watch all folders, and these are looked at once a second instead{}", remedy(&error));
            }
            None if self.is_told && self.watcher.is_some() && count == 0 => {
                self.is_told = false;
                tracing::info!("the system watches all folders again");
            }
            _ => {}
        }
    }
}

/// Handles an event, in the watcher's thread.
fn hear(event: notify::Result<Event>, changed: &mpsc::UnboundedSender<Event>) {
    let event = match event {
        Ok(event) if is_change(&event) => event,
        Ok(_) => return,
        // Events were lost: everything has to be read again.
        Err(_) => rescan(),
    };
    // Fails at shutdown.
    let _ = changed.send(event);
}

fn rescan() -> Event {
    Event::default().set_flag(Flag::Rescan)
}

/// Returns whether an event is a change: reading a file, as a reload does, is not.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// The remedy for exhausted limits (inotify(7), "/proc interfaces").
fn remedy(error: &Error) -> &'static str {
    let errno = match &error.kind {
        ErrorKind::MaxFilesWatch => Some(Errno::NOSPC),
        ErrorKind::Io(error) => error.raw_os_error().map(Errno::from_raw_os_error),
        _ => None,
    };
    match errno {
        Some(Errno::NOSPC) => "; `sysctl fs.inotify.max_user_watches` is how many all processes of a user may have",
        Some(Errno::MFILE) => {
            "; `sysctl fs.inotify.max_user_instances` is how many all processes of a user may have that watch"
        }
        _ => "",
    }
}

fn identity(folder: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(folder).ok()?;
    metadata.is_dir().then(|| (metadata.dev(), metadata.ino()))
}
