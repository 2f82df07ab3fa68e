//! TLS of the public listener: the certificate, handshakes, and reloading of the files.

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, interval},
};
use tokio_rustls::TlsAcceptor;

use super::stream::{Socket, Stream};
use crate::{
    config::{ServerTls, Stamps, shown},
    metrics::Metrics,
};

/// The ALPN protocols, in order of preference (RFC 7301).
const HTTP2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";

/// The first byte of a TLS client's first record (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// The maximum that a client may send in a handshake: its first message, with several key shares and a session ticket.
/// TLS buffers messages until they are complete.
const HANDSHAKE_BYTES: usize = 16 << 10;

/// The additional maximum for client certificates.
const CLIENT_CERTIFICATE_BYTES: usize = 64 << 10;

/// The interval at which the files are checked.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The TLS configuration of a listener, shared by all workers. A connection keeps the one that it started with.
pub(crate) struct Tls {
    current: ArcSwap<Shown>,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

/// The current configuration.
struct Shown {
    config: Arc<ServerConfig>,
    /// The maximum size of a handshake.
    most: usize,
}

struct State {
    served: ServerTls,
    since: SystemTime,
    stamps: Stamps,
    /// Why the current files are not used, if so.
    refused: Option<String>,
    /// Changes of the files that were applied, and that were refused.
    changes: (u64, u64),
}

/// The certificate's status, for operators.
pub(crate) struct CertificateStatus {
    /// The certificate file.
    pub(crate) file: String,
    /// Its expiry.
    pub(crate) not_after: SystemTime,
    /// When it was first used.
    pub(crate) since: SystemTime,
    /// Why the current files are not used, if so.
    pub(crate) refused: Option<String>,
    /// Changes of the files that were applied, and that were refused.
    pub(crate) changes: (u64, u64),
}

impl Tls {
    /// With the certificate that was read.
    ///
    /// # Errors
    /// When rustls refuses it, or the system has no random numbers.
    pub(crate) fn new(served: &ServerTls, metrics: &Arc<Metrics>) -> Result<Arc<Self>, rustls::Error> {
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(Shown::new(served)?),
            state: Mutex::new(State {
                served: served.clone(),
                since: SystemTime::now(),
                stamps: served.stamps,
                refused: None,
                changes: (0, 0),
            }),
            metrics: Arc::clone(metrics),
        }))
    }

    /// Uses another certificate from the next connection on.
    ///
    /// # Errors
    /// When rustls refuses it; nothing changes then.
    pub(crate) fn turn_to(&self, next: ServerTls) -> Result<(), rustls::Error> {
        let current = Arc::new(Shown::new(&next)?);
        let mut state = self.state.lock();
        state.refused = None;
        state.stamps = next.stamps;
        if state.served.is_same(&next) {
            return Ok(());
        }
        self.current.store(current);
        tracing::info!(
            certificate = %next.certificate.display(),
            not_after = shown(next.not_after),
            "clients are shown another certificate from now on"
        );
        state.changes.0 = state.changes.0.saturating_add(1);
        state.since = SystemTime::now();
        state.served = next;
        Ok(())
    }

    /// Checks the files periodically, however they are changed (written in place, renamed, a swapped symbolic link),
    /// and uses valid ones.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut looks = interval(LOOK_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failed = None;
        loop {
            looks.tick().await;
            let tls = Arc::clone(&self);
            let before = std::mem::take(&mut failed);
            // Reading may block on a slow disk.
            let looked = tokio::task::spawn_blocking(move || tls.look(before)).await;
            failed = looked.unwrap_or_default();
        }
    }

    /// Checks once. An invalid pair is returned, and reported only if it is still invalid at the next check: the files
    /// are written one after the other.
    fn look(&self, failed: Option<Stamps>) -> Option<Stamps> {
        let (served, known) = {
            let state = self.state.lock();
            (state.served.clone(), state.stamps)
        };
        let now = served.stamps_now();
        if now == known {
            return None;
        }
        let renewed = served.renewed().map_err(|wrong| wrong.to_string());
        let shown = renewed.and_then(|next| self.turn_to(next).map_err(|error| error.to_string()));
        let Err(reason) = shown else { return None };
        if failed != Some(now) {
            return Some(now);
        }
        tracing::error!(
            reason,
            "the certificate of [server.tls] cannot be renewed; the one before is shown still"
        );
        let mut state = self.state.lock();
        state.stamps = now;
        state.refused = Some(reason);
        state.changes.1 = state.changes.1.saturating_add(1);
        None
    }

    /// The current status.
    pub(crate) fn status(&self) -> CertificateStatus {
        let state = self.state.lock();
        CertificateStatus {
            file: state.served.certificate.display().to_string(),
            not_after: state.served.not_after,
            since: state.since,
            refused: state.refused.clone(),
            changes: state.changes,
        }
    }

    /// Performs the handshake with a client; returns whether it negotiated HTTP/2.
    ///
    /// # Errors
    /// When it fails; with the connection, on which an alert has been sent if possible.
    pub(super) async fn accept(&self, stream: TcpStream) -> Result<(Stream, bool), (io::Error, TcpStream)> {
        let (config, most) = {
            let shown = self.current.load();
            (Arc::clone(&shown.config), shown.most)
        };
        let accepted = TlsAcceptor::from(config).accept(Socket::new(stream, most));
        let accepted = accepted.into_fallible().await;
        let tls = accepted.map_err(|(error, socket)| (error, socket.into_tcp()))?;
        let is_http2 = tls.get_ref().1.alpn_protocol() == Some(HTTP2);
        Ok((Stream::secured(tls), is_http2))
    }

    /// Counts a handshake in progress, until the guard is dropped.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.metrics.handshakes_under_way.inc();
        UnderWay(&self.metrics)
    }

    /// Observes a handshake's duration, from the client's first byte.
    pub(super) fn took(&self, time: Duration) {
        self.metrics.handshake_time.observe(time.as_secs_f64());
    }

    /// Counts a handshake's result.
    pub(super) fn count(&self, result: &'static str) {
        self.metrics.handshake(result);
    }
}

/// A handshake in progress.
pub(super) struct UnderWay<'a>(&'a Metrics);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.handshakes_under_way.dec();
    }
}

impl Shown {
    fn new(tls: &ServerTls) -> Result<Self, rustls::Error> {
        let certificates = tls.clients.as_ref().map_or(0, |_| CLIENT_CERTIFICATE_BYTES);
        Ok(Self {
            config: server_config(tls)?,
            most: HANDSHAKE_BYTES.saturating_add(certificates),
        })
    }
}

/// Returns whether the first byte of a client is one of HTTP without TLS: of a method, or of an empty line before it.
pub(super) fn is_plain_http(first: u8) -> bool {
    first != HANDSHAKE && (first.is_ascii_alphabetic() || matches!(first, b'\r' | b'\n'))
}

fn server_config(tls: &ServerTls) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = match &tls.clients {
        Some(authorities) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(authorities), provider).build();
            let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let identity = SingleCertAndKey::from(CertifiedKey::clone(&tls.identity));
    let mut config = builder.with_cert_resolver(Arc::new(identity));
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP11.to_vec()];
    // Session tickets: a returning client costs no signature, and us no memory. Created anew with each certificate, so
    // that nobody resumes a session that other authorities authenticated.
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    Ok(Arc::new(config))
}
