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

/// The places for connections of one listener, shared by all of its workers.
#[derive(Debug)]
pub(super) struct Seats {
    /// The key by which there may be more; empty where there is none.
    key: &'static str,
    most: usize,
    most_of_one: usize,
    /// Behind a proxy all clients look like one.
    proxies: Arc<[IpNet]>,
    taken: AtomicUsize,
    /// Places taken, by client. Workers that accept from different clients hardly ever meet in one shard.
    by_client: DashMap<IpAddr, usize>,
    /// True if the operator has been told since there was room.
    is_warned: AtomicBool,
}

/// The one that has no place left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The gateway.
    Gateway,
    /// One client.
    Client,
}

/// The part of the descriptors that connections of a listener of the gateway's own may have, and the least and the most
/// of them: a sidecar keeps some for each delivery under way.
const OWN_PART: u64 = 32;
const OWN: (u64, u64) = (64, 4096);

/// The most connections unless configured: hardly any machine that has descriptors for more has the memory for them.
const MOST: u64 = 100_000;

impl Seats {
    /// The places that the configuration asks for. Without a word of it they are three eighths of the descriptors: half
    /// of them may go to loaded packages, and the rest is for what guests call, the admin listener and files.
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

    /// The places of a listener of the gateway's own, half of them for one client.
    pub(super) fn of_own_listener() -> Arc<Self> {
        let most = (descriptors() / OWN_PART).clamp(OWN.0, OWN.1);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self::new("", (most, most.div_ceil(2)), Arc::from([]))
    }

    /// So many places in all, and for each client.
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

    /// The proxies that are trusted, if the address is one of them.
    pub(super) fn proxies_with(&self, address: IpAddr) -> Option<Arc<[IpNet]>> {
        let address = address.to_canonical();
        let is_proxy = self.proxies.iter().any(|range| range.contains(&address));
        is_proxy.then(|| Arc::clone(&self.proxies))
    }

    /// A place for a connection from `address`.
    ///
    /// # Errors
    /// When there is none.
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

    /// Gives a place back.
    fn free(&self) {
        let taken = self.taken.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        // Half of the places free again is an end of what was told of.
        if taken <= self.most / 2 {
            self.is_warned.store(false, Ordering::Relaxed);
        }
    }
}

/// The descriptors that this process may have.
fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A place; dropping it frees it.
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
