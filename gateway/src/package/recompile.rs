//! Recompilation of lost code beside the requests: on one of the threads for it, one
//! package after the other.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{Loader, Package, PackageError};
use crate::config::Source;

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
    /// Adds a package, unless it is waiting, at work or resting.
    pub(super) fn add(&self, loader: &Arc<Loader>, package: &Arc<Package>) {
        let mut queue = self.0.lock();
        if queue.contains(package) {
            return;
        }
        queue.waiting.push_back(Arc::clone(package));
        if queue.at_work.is_some() {
            return;
        }
        queue.at_work = Some(Arc::clone(package));
        let worker = Arc::clone(loader);
        loader.threads().spawn(move || worker.compile_waiting());
    }

    fn next(&self) -> Option<Arc<Package>> {
        let mut queue = self.0.lock();
        queue.at_work = queue.waiting.pop_front();
        queue.at_work.clone()
    }

    fn rest(&self, package: Arc<Package>) {
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

impl Loader {
    fn compile_waiting(&self) {
        while let Some(package) = self.recompilation.next() {
            match self.compile_again(&package) {
                Ok(()) => {
                    tracing::info!(package = %package.name(), "lost code was compiled again");
                    package.recovered();
                }
                Err(error) => {
                    package.failed(&error);
                    self.recompilation.rest(package);
                }
            }
        }
    }

    fn compile_again(&self, package: &Package) -> Result<(), PackageError> {
        let Source::File(source) = &package.account.config.source;
        let (wanted, before) = (package.registered.choice.engine, &package.registered.code);
        let made = self.register(source, Some(wanted), package.account.config.limits.memory)?;
        // The name of compiled code is the digest of its source.
        if made.code.path() != before.path() {
            return Err(PackageError::SourceChanged {
                path: source.clone(),
            });
        }
        Ok(())
    }
}
