//! Idle connections.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{connect::Connection, outgoing::Destination};
use crate::{
    admission::{Permit, Permits},
    config::PackageName,
};

/// How long an idle connection is kept: a little less than the common server time-out of 60 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);

/// Idle connections per host and worker.
const IDLE_PER_HOST: usize = 64;

/// What a request must match to use a connection.
#[derive(Debug, Clone, Eq, Hash, PartialEq)]
pub(super) struct Key {
    /// The generation of the configuration that it was made with.
    pub(super) generation: u64,
    pub(super) to: Destination,
    /// The package, if it has TLS settings of its own.
    pub(super) of: Option<PackageName>,
}

/// A worker's idle connections. Clones share them.
#[derive(Clone)]
pub(super) struct Idle {
    parked: Arc<Mutex<Parked>>,
    /// Shared by all workers: an idle connection uses a descriptor without holding a request's permit.
    permits: Permits,
}

#[derive(Default)]
struct Parked {
    by_key: HashMap<Key, Vec<Waiting>>,
    is_swept: bool,
}

struct Waiting {
    since: Instant,
    connection: Connection,
    permit: Permit,
}

impl Waiting {
    fn is_good(&self) -> bool {
        self.since.elapsed() < IDLE_TIMEOUT && self.connection.is_open()
    }
}

impl Idle {
    /// An empty pool, limited by these permits.
    pub(super) fn new(permits: Permits) -> Self {
        Self {
            parked: Arc::default(),
            permits,
        }
    }

    /// The most recently used connection, if one is still open.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        let mut parked = self.parked.lock();
        let waiting = parked.by_key.get_mut(key)?;
        let mut found = None;
        while let Some(last) = waiting.pop() {
            if last.is_good() {
                // A multiplexed connection stays in the pool.
                if let Some(connection) = last.connection.share() {
                    waiting.push(Waiting {
                        since: Instant::now(),
                        connection,
                        permit: last.permit,
                    });
                }
                found = Some(last.connection);
                break;
            }
        }
        if waiting.is_empty() {
            parked.by_key.remove(key);
        }
        found
    }

    /// Returns a connection to the pool, unless there are enough.
    pub(super) fn put(&self, key: Key, connection: Connection) {
        let mut parked = self.parked.lock();
        let permit = self.permits.take().or_else(|| {
            parked.make_room();
            self.permits.take()
        });
        let Some(permit) = permit else { return };
        let waiting = parked.by_key.entry(key).or_default();
        let is_shared = connection.is_shared();
        let is_enough =
            waiting.len() >= IDLE_PER_HOST || is_shared && waiting.iter().any(|other| other.connection.is_shared());
        if is_enough {
            return;
        }
        waiting.push(Waiting {
            since: Instant::now(),
            connection,
            permit,
        });
        if !parked.is_swept {
            parked.is_swept = true;
            tokio::spawn(self.clone().sweep());
        }
    }

    /// Closes connections that were idle for too long, until none is left.
    async fn sweep(self) {
        loop {
            tokio::time::sleep(IDLE_TIMEOUT / 4).await;
            let mut parked = self.parked.lock();
            parked.sweep();
            if parked.by_key.is_empty() {
                parked.is_swept = false;
                return;
            }
        }
    }
}

impl Parked {
    fn sweep(&mut self) {
        self.by_key.retain(|_, waiting| {
            waiting.retain(Waiting::is_good);
            !waiting.is_empty()
        });
    }

    /// Closes unusable connections, and the one that was idle longest.
    fn make_room(&mut self) {
        self.sweep();
        // Each list starts with the oldest.
        let oldest = self.by_key.values_mut();
        let oldest = oldest.min_by_key(|waiting| waiting.first().map(|first| first.since));
        if let Some(waiting) = oldest
            && !waiting.is_empty()
        {
            waiting.remove(0);
        }
        self.by_key.retain(|_, waiting| !waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;

    use super::*;
    use crate::egress::watched::Watch;

    /// A connection whose other end is given too: it closes with that.
    async fn connection() -> (Connection, tokio::io::DuplexStream) {
        let (here, there) = tokio::io::duplex(1024);
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(here))
            .await
            .unwrap();
        tokio::spawn(driver);
        sender.ready().await.unwrap();
        let connection = Connection::Http1 {
            sender,
            watch: Arc::new(Watch::default()),
            proxy: None,
        };
        (connection, there)
    }

    fn key(port: u16) -> Key {
        let to = Destination {
            https: false,
            host: "example.com".to_owned(),
            port,
        };
        Key {
            generation: 0,
            to,
            of: None,
        }
    }

    #[tokio::test]
    async fn the_connection_that_waited_longest_makes_room_and_nobody_elses_is_given() {
        let idle = Idle::new(Permits::new(2));
        let mut others = Vec::new();
        for port in 1..=3 {
            let (connection, other) = connection().await;
            idle.put(key(port), connection);
            others.push(other);
        }
        assert!(idle.take(&key(1)).is_none());
        assert!(idle.take(&key(2)).is_some() && idle.take(&key(2)).is_none());
        assert!(idle.take(&key(3)).is_some());
        assert!(
            idle.permits.take().is_some(),
            "what was taken has no permit"
        );
    }

    #[tokio::test]
    async fn a_connection_that_the_other_side_has_closed_is_not_given() {
        let idle = Idle::new(Permits::new(2));
        let (connection, other) = connection().await;
        idle.put(key(1), connection);
        drop(other);
        while idle
            .parked
            .lock()
            .by_key
            .values()
            .flatten()
            .any(Waiting::is_good)
        {
            tokio::task::yield_now().await;
        }
        assert!(idle.take(&key(1)).is_none());
    }
}
