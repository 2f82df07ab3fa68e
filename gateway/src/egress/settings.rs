//! Settings that all outgoing requests share: root certificates, proxies, and the limit on their number.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider, sign::SingleCertAndKey};

use super::{failed::Failed, outgoing::Destination, resolve::Resolver};
use crate::{
    admission::Permits,
    config::{Config, PackageName, TlsConfig},
};

/// The fraction of the process' descriptors for outgoing requests: the rest is for clients and code.
const PART_OF_DESCRIPTORS: usize = 4;

/// The fraction of the process' descriptors for idle connections, in addition.
const IDLE_PART_OF_DESCRIPTORS: usize = 8;

/// The ALPN protocols, in order of preference.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Shared by the clients of all workers. Cloning copies pointers.
#[derive(Clone)]
pub(crate) struct Settings {
    now: Arc<ArcSwap<Ways>>,
    permits: Permits,
    idle: Permits,
}

/// The outgoing settings of one configuration.
pub(super) struct Ways {
    /// Incremented with each configuration, so that connections made under another one are not used.
    generation: u64,
    resolver: Resolver,
    proxies: Matcher,
    /// For packages without a `tls` table.
    tls: Arc<ClientConfig>,
    /// By package, for those with a `tls` table.
    own_tls: HashMap<PackageName, Arc<ClientConfig>>,
}

impl Settings {
    /// The settings of a checked configuration, in a process with this limit on descriptors.
    ///
    /// # Errors
    /// When the crypto provider supports no TLS version: a bug in this build.
    pub(crate) fn new(config: &Config, descriptors: usize) -> Result<Self, rustls::Error> {
        Ok(Self {
            now: Arc::new(ArcSwap::from_pointee(Ways::new(config, 0)?)),
            permits: Permits::new(descriptors / PART_OF_DESCRIPTORS),
            idle: Permits::new(descriptors / IDLE_PART_OF_DESCRIPTORS),
        })
    }

    /// Prepares other settings for [`Settings::replace`].
    ///
    /// # Errors
    /// As [`Settings::new`].
    pub(crate) fn prepare(&self, config: &Config) -> Result<Prepared, rustls::Error> {
        let generation = self.now.load().generation + 1;
        Ok(Prepared(Arc::new(Ways::new(config, generation)?)))
    }

    /// Uses other settings for new requests; those in flight are not affected.
    pub(crate) fn replace(&self, prepared: Prepared) {
        self.now.store(prepared.0);
    }

    /// The current settings.
    pub(super) fn now(&self) -> Arc<Ways> {
        self.now.load_full()
    }

    /// The permits of all idle connections.
    pub(super) fn idle(&self) -> &Permits {
        &self.idle
    }

    /// The permits of all requests.
    pub(super) fn permits(&self) -> &Permits {
        &self.permits
    }
}

/// Prepared settings.
pub(crate) struct Prepared(Arc<Ways>);

impl Ways {
    fn new(config: &Config, generation: u64) -> Result<Self, rustls::Error> {
        let is_needed = config.packages.iter().any(|package| {
            let mut outbound = package.outbound.iter();
            package.tls.is_some() || outbound.any(|origin| origin.scheme == http::uri::Scheme::HTTPS)
        });
        let proxied = config.outbound.proxies.any();
        let roots = if is_needed || proxied {
            config.outbound.roots()
        } else {
            RootCertStore::empty()
        };
        let mut own_tls = HashMap::new();
        for package in &config.packages {
            if let Some(own) = &package.tls {
                own_tls.insert(package.name.clone(), tls(roots.clone(), Some(own))?);
            }
        }
        Ok(Self {
            generation,
            resolver: Resolver::new(&config.server.outbound_private),
            proxies: config.outbound.proxies.matcher(),
            tls: tls(roots, None)?,
            own_tls,
        })
    }

    /// The generation of the configuration.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The TLS settings of a package, and whether they are its own.
    pub(super) fn tls_of(&self, package: &PackageName) -> (&Arc<ClientConfig>, bool) {
        match self.own_tls.get(package) {
            Some(own) => (own, true),
            None => (&self.tls, false),
        }
    }

    /// The TLS settings for proxies.
    pub(super) fn proxy_tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    /// The proxy for a destination, if there is one.
    ///
    /// # Errors
    /// When the destination is no URI: bypassing the proxy would be wrong.
    pub(super) fn proxy_for(&self, to: &Destination) -> Result<Option<Intercept>, Failed> {
        let uri = to.uri(&Uri::default())?;
        Ok(self.proxies.intercept(&uri))
    }

    /// The resolver of names.
    pub(super) fn resolver(&self) -> &Resolver {
        &self.resolver
    }
}

fn tls(mut roots: RootCertStore, own: Option<&TlsConfig>) -> Result<Arc<ClientConfig>, rustls::Error> {
    if let Some(own) = own {
        roots.add_parsable_certificates(own.authorities.iter().cloned());
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match own.and_then(|own| own.identity.clone()) {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
