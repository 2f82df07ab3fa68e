//! Polls what the system does not watch.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};

use super::{LONGEST, QUIET, Watch, stamp::Stamp};

impl Watch {
    /// Polls what the system does not watch, if anything, until nothing changes. Returns the duration of one poll.
    pub(super) async fn look_by_hand(&mut self) -> Duration {
        let (latest, mut took) = (Instant::now() + LONGEST, Duration::ZERO);
        while self.folders.has_unwatched() {
            let began = Instant::now();
            let is_changed = self.glance();
            took = began.elapsed();
            if !is_changed || Instant::now() >= latest {
                break;
            }
            sleep(QUIET).await;
            // Changes that were found by polling must not be found again in events.
            while let Some(event) = self.folders.next_event() {
                self.hear(&event);
            }
        }
        took
    }

    /// Polls all files once. Returns whether something has changed.
    fn glance(&mut self) -> bool {
        let marks = self.marks();
        let before = std::mem::replace(&mut self.looked, marks);
        let gone = before
            .keys()
            .filter(|path| !self.looked.contains_key(*path));
        let other = self
            .looked
            .iter()
            .filter(|(path, stamp)| before.get(*path) != Some(*stamp));
        let changed: Vec<_> = other.map(|(path, _)| path).chain(gone).cloned().collect();
        for path in &changed {
            self.heard.is_reload_due |= !self.made.is_expected(path, &self.builds);
        }
        self.heard.is_look_due = true;
        self.look() || !changed.is_empty()
    }

    /// The stamps of all wanted files, if there are folders that must be polled.
    pub(super) fn marks(&self) -> HashMap<PathBuf, Option<Stamp>> {
        if self.folders.has_unwatched() {
            self.wanted.marks()
        } else {
            HashMap::new()
        }
    }
}
