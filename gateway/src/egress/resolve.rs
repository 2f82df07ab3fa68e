//! Resolves a name to the addresses that may be connected to.

use std::{net::SocketAddr, sync::Arc};

use dns_lookup::{LookupError, LookupErrorKind};
use ipnet::IpNet;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::Error;

use super::failed::Failed;
use crate::address;

/// How many addresses of a name are tried: the system lists the best ones first.
const MAX_ADDRESSES: usize = 8;

/// The maximum of concurrent lookups, over all workers: each blocks a thread until the system's resolver gives up, and
/// names with silent servers would otherwise block all threads.
const MAX_LOOKUPS: usize = 64;

/// Resolves names, and drops closed addresses.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    open: Arc<[IpNet]>,
    lookups: Arc<Semaphore>,
}

impl Resolver {
    /// A resolver for which these private ranges are open.
    pub(super) fn new(open: &[IpNet]) -> Self {
        Self {
            open: open.into(),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }

    /// The addresses of a host in a package's `outbound`.
    pub(super) async fn resolve(&self, host: &str, port: u16, of: &Arc<Semaphore>) -> Result<Vec<SocketAddr>, Failed> {
        if let Some(address) = address::literal(host) {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let found = self.any(host, port, of).await?;
        let open = found
            .into_iter()
            .filter(|found| address::is_localhost(host) || address::may_be_resolved_to(found.ip(), &self.open))
            .collect::<Vec<_>>();
        if open.is_empty() {
            let detail = format!("{host} resolves to closed addresses only");
            return Err(Failed::new(Error::DestinationIpProhibited, detail));
        }
        Ok(open)
    }

    /// The addresses of a host that the operator chose.
    pub(super) async fn any(&self, host: &str, port: u16, of: &Arc<Semaphore>) -> Result<Vec<SocketAddr>, Failed> {
        if let Some(address) = address::literal(host) {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        // The package's own permit first, so that waiting for it holds no shared one.
        let own = Arc::clone(of).acquire_owned().await;
        let all = Arc::clone(&self.lookups).acquire_owned().await;
        let name = host.to_owned();
        let looked_up = tokio::task::spawn_blocking(move || {
            // The thread is busy until the system's resolver is done, whether anyone still waits or not.
            let _busy = (own, all);
            dns_lookup::lookup_host(&name).map(|found| found.take(MAX_ADDRESSES).collect::<Vec<_>>())
        });
        match looked_up.await {
            Ok(Ok(found)) => Ok(found
                .into_iter()
                .map(|address| SocketAddr::new(address, port))
                .collect()),
            Ok(Err(error)) => Err(unresolved(host, error)),
            Err(error) => Err(Failed::new(
                Error::InternalError(None),
                format!("{host} was not looked up: {error}"),
            )),
        }
    }
}

fn unresolved(host: &str, error: LookupError) -> Failed {
    let rcode = match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData => Some("NXDOMAIN"),
        LookupErrorKind::Again | LookupErrorKind::Fail => Some("SERVFAIL"),
        _ => None,
    };
    let code = Error::DnsError {
        rcode: rcode.map(str::to_owned),
        info_code: None,
    };
    let error = std::io::Error::from(error);
    Failed::new(code, format!("{host} has no address: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_package_whose_names_are_slow_does_not_keep_others_from_looking_theirs_up() {
        let resolver = Resolver::new(&[]);
        let [slow, other] = [0, 16].map(|free| Arc::new(Semaphore::new(free)));
        let waits = resolver.any("localhost", 80, &slow);
        let waits = tokio::time::timeout(Duration::from_millis(1), waits);
        assert!(waits.await.is_err(), "it has no more lookups");
        assert!(
            !resolver
                .any("localhost", 80, &other)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(resolver.any("127.0.0.1", 80, &slow).await.is_ok());
    }
}
