//! Limits on connections, in total and per client, so that idle connections take neither the descriptors that
//! everything else needs nor the places of other clients.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, Entry};
use ipnet::IpNet;
use rustix::process::{Resource, getrlimit};

use crate::{address::client_network, config::Server as ServerConfig};

/// The connection limits of one listener, shared by all its workers.
#[derive(Debug)]
pub(super) struct Seats {
    /// The configuration key that raises the limit; empty if there is none.
    key: &'static str,
    most: usize,
    most_of_one: usize,
    /// Behind a proxy all clients look like one.
    proxies: Arc<[IpNet]>,
    taken: AtomicUsize,
    /// Connections by client. The map is sharded, so workers that accept from different clients rarely contend.
    by_client: DashMap<IpAddr, usize>,
    /// Whether a warning was logged since the limit was last reached.
    is_warned: AtomicBool,
}

/// The limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// That of the listener.
    Gateway,
    /// That of one client.
    Client,
}

/// The fraction of descriptors for connections of one of the gateway's own listeners, with its minimum and maximum: a
/// sidecar has a connection for each delivery in flight.
const OWN_PART: u64 = 32;
const OWN: (u64, u64) = (64, 4096);

/// The maximum of the default: hardly any machine with descriptors for more has the memory for them.
const MOST: u64 = 100_000;

impl Seats {
    /// The configured limits. The default is three eighths of the descriptors: half of them may go to loaded packages,
    /// and the rest is for outgoing requests, the admin listener and files.
    pub(super) fn from_config(config: &ServerConfig) -> Arc<Self> {
        let descriptors = descriptors();
        let most = config
            .connections
            .unwrap_or_else(|| usize::try_from((descriptors / 8 * 3).clamp(1, MOST)).unwrap_or(usize::MAX));
        let of_one = config.connections_per_client;
        Self::new(
            "server.connections",
            (most, of_one.unwrap_or(most.div_ceil(2))),
            Arc::from(config.trusted_proxies.as_slice()),
        )
    }

    /// The limits of one of the gateway's own listeners, half of it for one client.
    pub(super) fn of_own_listener() -> Arc<Self> {
        let most = (descriptors() / OWN_PART).clamp(OWN.0, OWN.1);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self::new("", (most, most.div_ceil(2)), Arc::from([]))
    }

    /// With these limits in total and per client.
    fn new(key: &'static str, (most, most_of_one): (usize, usize), proxies: Arc<[IpNet]>) -> Arc<Self> {
        Arc::new(Self {
            key,
            most,
            most_of_one,
            proxies,
            taken: AtomicUsize::default(),
            by_client: DashMap::new(),
            is_warned: AtomicBool::default(),
        })
    }

    /// The trusted proxies, if the address is one of them.
    pub(super) fn proxies_with(&self, address: IpAddr) -> Option<Arc<[IpNet]>> {
        let address = address.to_canonical();
        let is_proxy = self.proxies.iter().any(|range| range.contains(&address));
        is_proxy.then(|| Arc::clone(&self.proxies))
    }

    /// Takes a place for a connection from `address`.
    ///
    /// # Errors
    /// When a limit is reached.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Full> {
        let client = client_network(address);
        let more = |taken: usize| (taken < self.most).then_some(taken.saturating_add(1));
        if self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_err()
        {
            if !self.is_warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    connections = self.most,
                    key = self.key,
                    "a listener has as many connections as it may have; more are refused"
                );
            }
            return Err(Full::Gateway);
        }
        let is_proxy = self.proxies_with(address).is_some();
        let mut of_one = self.by_client.entry(client).or_default();
        if *of_one >= self.most_of_one && !is_proxy {
            drop(of_one);
            self.free();
            return Err(Full::Client);
        }
        *of_one = of_one.saturating_add(1);
        drop(of_one);
        Ok(Seat {
            seats: Arc::clone(self),
            client,
        })
    }

    /// Releases a place.
    fn free(&self) {
        let taken = self.taken.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        // The next warning is due after half of the places were free again.
        if taken <= self.most / 2 {
            self.is_warned.store(false, Ordering::Relaxed);
        }
    }
}

/// The limit on descriptors of this process.
fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A connection's place; dropping it releases it.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    client: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Entry::Occupied(mut of_one) = self.seats.by_client.entry(self.client) {
            let left = of_one.get().saturating_sub(1);
            of_one.insert(left);
            if left == 0 {
                of_one.remove();
            }
        }
        self.seats.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trusted_proxy_stands_for_many_clients() {
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let seats = Seats::new("", (3, 1), Arc::from(["10.0.0.0/24".parse().unwrap()]));
        let taken: Vec<_> = (0..3).map(|_| seats.take(proxy).unwrap()).collect();
        drop(taken);
        let other = IpAddr::from([10, 0, 1, 1]);
        let _one = seats.take(other).unwrap();
        assert_eq!(seats.take(other).unwrap_err(), Full::Client);
    }

    #[test]
    fn one_client_cannot_take_the_places_of_others_and_a_place_is_free_again() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let seats = Seats::new("", (3, 2), Arc::from([]));
        let first = seats.take(address("10.0.0.1")).unwrap();
        let _second = seats.take(address("::ffff:10.0.0.1")).unwrap();
        assert_eq!(seats.take(address("10.0.0.1")).unwrap_err(), Full::Client);
        let _third = seats.take(address("2001:db8::1")).unwrap();
        assert_eq!(seats.take(address("10.0.0.2")).unwrap_err(), Full::Gateway);
        drop(first);
        let _fourth = seats.take(address("2001:db8::2")).unwrap();
        assert_eq!(seats.by_client.len(), 2, "one of IPv6");
    }
}
