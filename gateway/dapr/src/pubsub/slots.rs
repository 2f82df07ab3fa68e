//! Slots for deliveries in flight, shared by all subscriptions so that no app holds all of them.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::app::AppId;

/// Deliveries under way to one app, over all of its subscriptions: enough to keep all cores of a machine busy.
const MAX_OF_APP: usize = 64;

/// Deliveries under way in all: a share of the 1,000 instances that the gateway has at once by default.
const MAX: usize = 256;

/// Deliveries under way where each is the only one of its app: one does not wait for those of other apps, as long as
/// there are not so many of those.
const MAX_SINGLE: usize = 768;

/// The places.
#[derive(Default)]
pub(crate) struct Slots {
    taken: Mutex<Taken>,
    freed: watch::Sender<()>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_app: HashMap<AppId, usize>,
}

/// One place, until it is dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    app: AppId,
}

impl Slots {
    /// Takes up to `wanted` places for deliveries to `app`.
    pub(super) fn take(self: &Arc<Self>, app: &AppId, wanted: usize) -> Vec<Slot> {
        let mut taken = self.taken.lock();
        let held = taken.by_app.get(app).copied().unwrap_or_default();
        let single = usize::from(held == 0 && taken.total < MAX_SINGLE);
        let free = MAX.saturating_sub(taken.total).max(single);
        let granted = wanted.min(free).min(MAX_OF_APP.saturating_sub(held));
        if granted > 0 {
            taken.total += granted;
            *taken.by_app.entry(app.clone()).or_default() += granted;
        }
        let slot = || Slot {
            slots: Arc::clone(self),
            app: app.clone(),
        };
        std::iter::repeat_with(slot).take(granted).collect()
    }

    /// Tells when places are given back.
    pub(super) fn freed(&self) -> watch::Receiver<()> {
        self.freed.subscribe()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(held) = taken.by_app.get_mut(&self.app) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                taken.by_app.remove(&self.app);
            }
        }
        drop(taken);
        self.slots.freed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: impl ToString) -> AppId {
        AppId::new(&name.to_string()).unwrap()
    }

    #[test]
    fn an_app_gets_a_place_however_many_the_others_hold() {
        let slots = Arc::new(Slots::default());
        let mut held = slots.take(&app("flood"), 1000);
        assert_eq!(held.len(), MAX_OF_APP);
        for other in 0..10 {
            held.extend(slots.take(&app(other), 1000));
        }
        assert!(held.len() >= MAX);
        let calm = slots.take(&app("calm"), 1000);
        assert_eq!(calm.len(), 1);
        assert!(slots.take(&app("calm"), 1).is_empty());
        drop(calm);
        assert_eq!(slots.take(&app("calm"), 1).len(), 1);
        drop(held);
        assert_eq!(slots.take(&app("calm"), 1000).len(), MAX_OF_APP);
    }

    #[test]
    fn places_are_bounded_however_many_apps_there_are() {
        let slots = Arc::new(Slots::default());
        let held: Vec<_> = (0..2 * MAX_SINGLE)
            .flat_map(|n| slots.take(&app(n), 1))
            .collect();
        assert_eq!(held.len(), MAX_SINGLE);
    }
}
