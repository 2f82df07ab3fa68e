//! Connections that wait for another request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connect::Connection;
use super::outgoing::Destination;

/// How long an idle connection is kept: a little less than the 60 s after which common servers close theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);

/// Idle connections kept to one host, per worker.
const IDLE_PER_HOST: usize = 64;

/// Idle connections in all, per worker: each is a descriptor that nobody has a slot for.
const IDLE_IN_ALL: usize = 512;

/// Which requests a connection is good for.
#[derive(Debug, Clone, Eq, Hash, PartialEq)]
pub(super) struct Key {
    pub(super) to: Destination,
    /// The package, if it speaks TLS in a way of its own.
    pub(super) of: Option<Arc<str>>,
}

/// A worker's idle connections. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Parked>>);

#[derive(Default)]
struct Parked {
    by_key: HashMap<Key, Vec<(Instant, Connection)>>,
    count: usize,
    is_swept: bool,
}

impl Idle {
    /// The connection that was used last, if one is still open.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        let mut parked = self.0.lock();
        let waiting = parked.by_key.get_mut(key)?;
        let before = waiting.len();
        let mut found = None;
        while let Some((since, connection)) = waiting.pop() {
            if since.elapsed() < IDLE_TIMEOUT && connection.is_open() {
                // One that is shared stays for the others.
                if let Some(shared) = connection.share() {
                    waiting.push((Instant::now(), shared));
                }
                found = Some(connection);
                break;
            }
        }
        let taken = before - waiting.len();
        if waiting.is_empty() {
            parked.by_key.remove(key);
        }
        parked.count -= taken;
        found
    }

    /// Keeps a connection for the next request, unless there are enough.
    pub(super) fn put(&self, key: Key, connection: Connection) {
        let mut parked = self.0.lock();
        if parked.count >= IDLE_IN_ALL {
            parked.sweep();
        }
        if parked.count >= IDLE_IN_ALL {
            parked.drop_oldest();
        }
        let waiting = parked.by_key.entry(key).or_default();
        let is_enough = waiting.len() >= IDLE_PER_HOST
            || waiting.iter().any(|(_, other)| other.is_shared()) && connection.is_shared();
        if is_enough {
            return;
        }
        waiting.push((Instant::now(), connection));
        parked.count += 1;
        if !parked.is_swept {
            parked.is_swept = true;
            tokio::spawn(self.clone().sweep());
        }
    }

    /// Closes what has waited too long, until nothing waits.
    async fn sweep(self) {
        loop {
            tokio::time::sleep(IDLE_TIMEOUT / 4).await;
            let mut parked = self.0.lock();
            parked.sweep();
            if parked.count == 0 {
                parked.is_swept = false;
                return;
            }
        }
    }
}

impl Parked {
    fn sweep(&mut self) {
        self.by_key.retain(|_, waiting| {
            waiting.retain(|(since, connection)| {
                since.elapsed() < IDLE_TIMEOUT && connection.is_open()
            });
            !waiting.is_empty()
        });
        self.count = self.by_key.values().map(Vec::len).sum();
    }

    fn drop_oldest(&mut self) {
        // In each list the oldest is the first.
        let since = |waiting: &Vec<(Instant, Connection)>| waiting.first().map(|(since, _)| *since);
        let oldest = self
            .by_key
            .iter_mut()
            .min_by_key(|(_, waiting)| since(waiting));
        if let Some((_, waiting)) = oldest
            && !waiting.is_empty()
        {
            waiting.remove(0);
            self.count -= 1;
        }
    }
}
