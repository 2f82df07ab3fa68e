//! TLS handshakes of a worker's clients, each limited in turns, bytes and time.

use std::{io, net::IpAddr, sync::Arc, time::Instant};

use tokio::net::TcpStream;

use super::{stream::Stream, tls::Tls, turns::Turns};
use crate::address::client_network;

/// Performs the TLS handshakes of one worker's clients.
#[derive(Clone)]
pub(super) struct Handshakes {
    tls: Arc<Tls>,
    turns: Arc<Turns>,
}

/// The handshake with one client.
pub(super) struct Handshake {
    of: Handshakes,
    client: IpAddr,
}

impl Handshakes {
    pub(super) fn new(tls: &Arc<Tls>) -> Self {
        Self {
            tls: Arc::clone(tls),
            turns: Arc::default(),
        }
    }

    /// The handshake with the client at `address`.
    pub(super) fn with(&self, address: IpAddr) -> Handshake {
        Handshake {
            of: self.clone(),
            client: client_network(address),
        }
    }
}

impl Handshake {
    /// Performs the handshake; returns whether the client negotiated HTTP/2.
    ///
    /// # Errors
    /// When it fails; with the connection, on which an alert has been sent if possible.
    pub(super) async fn agree(&self, stream: TcpStream) -> Result<(Stream, bool), (io::Error, TcpStream)> {
        let Handshakes { tls, turns } = &self.of;
        let (begin, _under_way) = (Instant::now(), tls.begin());
        let agreed = turns.run(self.client, tls.accept(stream)).await;
        if agreed.is_ok() {
            tls.took(begin.elapsed());
        }
        agreed
    }

    /// Returns whether others wait for their turns: a client that would only be refused should not delay them.
    pub(super) fn are_waited_for(&self) -> bool {
        self.of.turns.are_waited_for()
    }

    /// Counts its result.
    pub(super) fn count(&self, result: &'static str) {
        self.of.tls.count(result);
    }
}
