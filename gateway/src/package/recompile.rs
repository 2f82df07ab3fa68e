//! Recompiles lost code in background threads, one package after the other on each.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::Package;

/// The time that a package rests whose code could not be made: compiling takes a core, and its requests ask at once
/// again.
const REST: Duration = Duration::from_secs(10);

/// Packages whose code is to be made.
#[derive(Default)]
pub(super) struct Recompilation(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Package>>,
    /// The one at work, as long as there is one.
    at_work: Option<Arc<Package>>,
    resting: Vec<(Arc<Package>, Instant)>,
}

impl Recompilation {
    /// Adds a package, unless it is waiting, at work or resting; calls `start` if nothing was at work.
    pub(super) fn add(&self, package: &Arc<Package>, start: impl FnOnce()) {
        let mut queue = self.0.lock();
        if queue.contains(package) {
            return;
        }
        queue.waiting.push_back(Arc::clone(package));
        if queue.at_work.is_some() {
            return;
        }
        queue.at_work = Some(Arc::clone(package));
        start();
    }

    /// Takes the next package to work, if one waits.
    pub(super) fn next(&self) -> Option<Arc<Package>> {
        let mut queue = self.0.lock();
        queue.at_work = queue.waiting.pop_front();
        queue.at_work.clone()
    }

    /// Lets a package rest whose code could not be made.
    pub(super) fn rest(&self, package: Arc<Package>) {
        self.0.lock().resting.push((package, Instant::now() + REST));
    }
}

impl Queue {
    fn contains(&mut self, package: &Arc<Package>) -> bool {
        let now = Instant::now();
        self.resting.retain(|(_, until)| *until > now);
        let resting = self.resting.iter().map(|(package, _)| package);
        let mut all = self.waiting.iter().chain(&self.at_work).chain(resting);
        all.any(|known| Arc::ptr_eq(known, package))
    }
}
