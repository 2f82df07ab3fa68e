//! Events that some packages have taken, and that are to be redelivered to others.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::app::AppId;

/// Events of which it is remembered who has taken them already. A sidecar retries an event within
/// minutes; this is many thousand events a minute.
const REMEMBERED: usize = 100_000;

/// The apps that have taken each event already, so that a retry for one app is no duplicate for the others.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    by_event: HashMap<String, HashSet<AppId>>,
    order: VecDeque<String>,
}

impl Delivered {
    pub(super) fn has(&self, event: &str, app: &AppId) -> bool {
        self.by_event
            .get(event)
            .is_some_and(|apps| apps.contains(app))
    }

    /// Remembers those who took an event that will come again.
    pub(super) fn remember(&mut self, event: &str, apps: impl IntoIterator<Item = AppId>) {
        if !self.by_event.contains_key(event) {
            self.order.push_back(event.to_owned());
        }
        self.by_event
            .entry(event.to_owned())
            .or_default()
            .extend(apps);
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.by_event.remove(&oldest);
            }
        }
    }

    /// Forgets an event that will not come again.
    pub(super) fn forget(&mut self, event: &str) {
        if self.by_event.remove(event).is_some() {
            self.order.retain(|known| known != event);
        }
    }
}
