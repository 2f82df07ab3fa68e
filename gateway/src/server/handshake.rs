//! TLS handshakes of a worker's clients, each limited in turns, bytes and time.

use std::{io, net::IpAddr, sync::Arc, time::Instant};

use tokio::net::TcpStream;

use super::{stream::Stream, tls::Tls, turns::Turns};
use crate::address::client_network;

/// The TLS that the clients of one worker are to agree upon with us.
#[derive(Clone)]
pub(super) struct Handshakes {
    tls: Arc<Tls>,
    turns: Arc<Turns>,
}

/// That with one client.
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

    /// The one with the client at `address`.
    pub(super) fn with(&self, address: IpAddr) -> Handshake {
        Handshake {
            of: self.clone(),
            client: client_network(address),
        }
    }
}

impl Handshake {
    /// Agrees on TLS with the client; answers with whether it speaks HTTP/2.
    ///
    /// # Errors
    /// With what went wrong, and the connection, on which the reason has been sent if the client can be told.
    pub(super) async fn agree(&self, stream: TcpStream) -> Result<(Stream, bool), (io::Error, TcpStream)> {
        let Handshakes { tls, turns } = &self.of;
        let (begin, _under_way) = (Instant::now(), tls.begin());
        let agreed = turns.run(self.client, tls.accept(stream)).await;
        if agreed.is_ok() {
            tls.took(begin.elapsed());
        }
        agreed
    }

    /// Returns whether others wait for their turns: who is only to be refused is not worth their time.
    pub(super) fn are_waited_for(&self) -> bool {
        self.of.turns.are_waited_for()
    }

    /// Counts it as ended so.
    pub(super) fn count(&self, result: &'static str) {
        self.of.tls.count(result);
    }
}
