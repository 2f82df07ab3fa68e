//! The threads that block on the disk for a package's guests, limited per package and in total. Each worker has 512
//! threads for blocking work, which name lookups and the building blocks need too.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError},
    task::{JoinHandle, spawn_blocking},
};

/// The most of one package: about as much as a disk does in parallel.
const OF_ONE: usize = 16;

/// The most of all packages: less than half of a worker's.
const OF_ALL: usize = 192;

static ALL: Semaphore = Semaphore::const_new(OF_ALL);

/// A package's share of the threads. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Threads(Arc<Semaphore>);

/// A permit for one thread, until it is dropped.
pub(crate) struct ThreadPlace {
    _own: OwnedSemaphorePermit,
    _all: SemaphorePermit<'static>,
}

/// Work that runs on a thread or waits for one. Dropping it cancels it unless it has started.
#[must_use = "dropping it cancels it"]
pub(crate) struct Work<T>(JoinHandle<io::Result<T>>);

impl Default for Threads {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(OF_ONE)))
    }
}

impl Threads {
    /// Runs `work` on a thread, now or when the package has a permit.
    pub(crate) fn begin<T: Send + 'static>(&self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Work<T> {
        if let Ok(place) = self.try_place() {
            return Work(spawn_on(place, work));
        }
        let threads = self.clone();
        Work(tokio::spawn(async move {
            let place = threads.place().await.map_err(io::Error::other)?;
            done(spawn_on(place, work).await)
        }))
    }

    /// Takes a permit if one is free.
    pub(crate) fn try_place(&self) -> Result<ThreadPlace, TryAcquireError> {
        Ok(ThreadPlace {
            _own: Arc::clone(&self.0).try_acquire_owned()?,
            _all: ALL.try_acquire()?,
        })
    }

    /// Waits for a permit: first for the package's, so that few of each package wait for the total.
    pub(crate) async fn place(&self) -> Result<ThreadPlace, AcquireError> {
        Ok(ThreadPlace {
            _own: Arc::clone(&self.0).acquire_owned().await?,
            _all: ALL.acquire().await?,
        })
    }
}

fn spawn_on<T: Send + 'static>(
    place: ThreadPlace,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> JoinHandle<io::Result<T>> {
    spawn_blocking(move || {
        let _until_it_is_done = place;
        work()
    })
}

fn done<T>(ended: Result<io::Result<T>, tokio::task::JoinError>) -> io::Result<T> {
    ended.unwrap_or_else(|error| Err(io::Error::other(error)))
}

impl<T> Future for Work<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(done(ready!(Pin::new(&mut self.0).poll(cx))))
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use parking_lot::Mutex;
    use tokio::time::timeout;

    use super::*;

    /// More than Tokio has threads.
    const MUCH: usize = 600;

    #[tokio::test]
    async fn a_package_that_holds_its_share_keeps_no_other_from_a_thread() {
        let (greedy, other) = (Threads::default(), Threads::default());
        let (hold, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let works = (0..MUCH).map(|_| {
            let held = Arc::clone(&held);
            greedy.begin(move || Ok(held.lock().recv().is_err()))
        });
        let works: Vec<_> = works.collect();
        let patience = Duration::from_secs(60);
        let of_other = timeout(patience, other.begin(|| Ok(7))).await;
        assert_eq!(of_other.unwrap().unwrap(), 7);
        let of_anybody = timeout(patience, spawn_blocking(|| 8)).await;
        assert_eq!(of_anybody.unwrap().unwrap(), 8);
        assert!(greedy.try_place().is_err());
        drop(hold);
        for work in works {
            assert!(work.await.unwrap());
        }
        assert!(greedy.try_place().is_ok());
    }

    #[tokio::test]
    async fn what_is_given_up_before_it_has_begun_is_not_done() {
        let threads = Threads::default();
        let all: Vec<_> = (0..OF_ONE).map(|_| threads.try_place().unwrap()).collect();
        let (tell, told) = mpsc::channel();
        drop(threads.begin(move || Ok(tell.send(()).is_ok())));
        drop(all);
        assert_eq!(threads.begin(|| Ok(1)).await.unwrap(), 1);
        assert!(told.recv().is_err());
    }
}
