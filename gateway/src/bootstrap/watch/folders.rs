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

/// Folders, and who watches them.
pub(super) struct Folders {
    /// `None` where the system tells nothing.
    watcher: Option<RecommendedWatcher>,
    events: mpsc::UnboundedReceiver<Event>,
    /// Those that the system watches, as they were when it began to.
    watched: HashMap<PathBuf, Identity>,
    /// Those that it does not watch.
    unwatched: BTreeSet<PathBuf>,
    /// Whoever reads the log knows that there are some.
    is_told: bool,
}

/// The device and the inode of a folder.
type Identity = (u64, u64);

impl Folders {
    /// No folders so far. That the system watches none is told, and they are looked at then.
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

    /// Waits for what the system tells next.
    pub(super) async fn event(&mut self) -> Event {
        if self.watcher.is_none() {
            return std::future::pending().await;
        }
        match self.events.recv().await {
            Some(event) => event,
            None => {
                // Its thread is gone.
                tracing::warn!("the system watches files no more, which are looked at once a second instead");
                self.watcher = None;
                self.unwatched
                    .extend(self.watched.drain().map(|(folder, _)| folder));
                self.is_told = true;
                rescan()
            }
        }
    }

    /// What the system has told already.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Returns whether there are folders that must be looked at.
    pub(super) fn has_unwatched(&self) -> bool {
        !self.unwatched.is_empty()
    }

    /// Watches these folders, as far as they are there, and no others. Answers with those that may hold what nobody was
    /// told of: that came, were deleted and made again, or were not watched.
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

    /// Has the system watch a folder.
    ///
    /// # Errors
    /// With its word, if it has any.
    fn watch(&mut self, folder: &Path) -> Result<(), Option<Error>> {
        let watcher = self.watcher.as_mut().ok_or(None)?;
        watcher
            .watch(folder, RecursiveMode::NonRecursive)
            .map_err(Some)
    }

    fn leave(&mut self, folder: &Path) {
        self.watched.remove(folder);
        if let Some(watcher) = &mut self.watcher {
            // One that is gone is not watched any more.
            let _ = watcher.unwatch(folder);
        }
    }

    /// Tells once that folders are not watched, and once that all are again.
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

/// Takes what is told, in the watcher's thread.
fn hear(event: notify::Result<Event>, changed: &mpsc::UnboundedSender<Event>) {
    let event = match event {
        Ok(event) if is_change(&event) => event,
        Ok(_) => return,
        // It says so when it has lost some: what that was is found by reading all again.
        Err(_) => rescan(),
    };
    // Nobody listens at the end.
    let _ = changed.send(event);
}

fn rescan() -> Event {
    Event::default().set_flag(Flag::Rescan)
}

/// Returns whether something was changed: that a file is read, by a reload too, is none.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// The words for who can give the system more (inotify(7), "/proc interfaces").
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
