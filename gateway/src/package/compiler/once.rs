//! Compiles a component once for all packages that use it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::Uncompiled;

/// The work in progress, by key. The thread that does it holds the lock on its result.
#[derive(Default)]
pub(super) struct Once(Mutex<HashMap<PathBuf, Arc<Mutex<Option<Uncompiled>>>>>);

impl Once {
    /// Runs `work`; or, if another thread is doing it, waits for it and returns `None`.
    ///
    /// # Errors
    /// With the error of the thread that did the work.
    pub(super) fn run<T>(
        &self,
        name: &Path,
        work: impl FnOnce() -> Result<T, Uncompiled>,
    ) -> Result<Option<T>, Uncompiled> {
        let own = Arc::new(Mutex::new(None));
        let mut ending = own.lock();
        let other = {
            let mut all = self.0.lock();
            let other = all.get(name).cloned();
            if other.is_none() {
                all.insert(name.to_owned(), Arc::clone(&own));
            }
            other
        };
        if let Some(other) = other {
            let ended = other.lock().clone();
            return ended.map_or(Ok(None), Err);
        }
        let made = work();
        *ending = made.as_ref().err().cloned();
        self.0.lock().remove(name);
        made.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use super::*;

    #[test]
    fn those_who_come_meanwhile_get_the_end_of_the_one_who_is_at_it() {
        let (once, times) = (Once::default(), AtomicUsize::new(0));
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let name = Path::new("a");
        let results = std::thread::scope(|scope| {
            let (once, times) = (&once, &times);
            let first = scope.spawn(move || {
                once.run(name, || {
                    times.fetch_add(1, Ordering::Relaxed);
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    Err::<(), _>(Uncompiled::Memory(1))
                })
            });
            has_begun.recv().unwrap();
            let second = scope.spawn(move || {
                once.run(name, || {
                    times.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                })
            });
            // Another name waits for nobody.
            assert!(matches!(once.run(Path::new("b"), || Ok(1)), Ok(Some(1))));
            // The second is at the lock, or comes when all is over and does its own work.
            go_on.send(()).unwrap();
            [first.join().unwrap(), second.join().unwrap()]
        });
        assert!(matches!(results[0], Err(Uncompiled::Memory(1))));
        match results[1] {
            Err(Uncompiled::Memory(1)) => assert_eq!(times.load(Ordering::Relaxed), 1),
            Ok(Some(())) => assert_eq!(times.load(Ordering::Relaxed), 2),
            ref other => panic!("{other:?}"),
        }
        assert!(once.0.lock().is_empty());
    }
}
