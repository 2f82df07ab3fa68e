//! Recompiles lost code in background threads, one package after the other on each.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::Package;

/// The pause after a failed recompilation: compiling takes a core, and the package's requests would start it again at
/// once.
const REST: Duration = Duration::from_secs(10);

/// Packages whose code has to be compiled again.
#[derive(Default)]
pub(super) struct Recompilation(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Package>>,
    /// The one that is being compiled, if any.
    at_work: Option<Arc<Package>>,
    resting: Vec<(Arc<Package>, Instant)>,
}

impl Recompilation {
    /// Adds a package, unless it is waiting, being compiled or pausing; calls `start` if nothing was being compiled.
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

    /// Takes the next waiting package, if any.
    pub(super) fn next(&self) -> Option<Arc<Package>> {
        let mut queue = self.0.lock();
        queue.at_work = queue.waiting.pop_front();
        queue.at_work.clone()
    }

    /// Pauses a package after a failure.
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
