//! Settings of outgoing requests from the environment: proxies and root certificates.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::{RootCertStore, pki_types::CertificateDer};
use wasmgate_common::{Code, Diagnostic};

use super::{certificate::certificates, environment::Environment, reader::Notes, secret::Secret};

/// The ways of outgoing requests: the proxies they go through, and the authorities they trust.
#[derive(Clone, Debug, Default)]
pub struct OutboundConfig {
    /// The proxies.
    pub proxies: Proxies,
    /// The certificates of `SSL_CERT_FILE` and `SSL_CERT_DIR`; `None` for the system's own.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
}

/// The proxies of outgoing requests, as URLs that may have credentials.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `http` origins.
    pub http: Option<Secret>,
    /// For `https` origins.
    pub https: Option<Secret>,
    /// The destinations for which none is used: names with their subdomains, addresses and ranges, with commas between
    /// them.
    pub except: String,
}

impl Proxies {
    /// Returns whether there is any.
    pub fn any(&self) -> bool {
        self.http.is_some() || self.https.is_some()
    }

    /// What finds the proxy for a destination.
    pub(crate) fn matcher(&self) -> Matcher {
        let text = |proxy: &Option<Secret>| {
            proxy
                .as_ref()
                .map_or_else(String::new, |proxy| proxy.reveal().to_owned())
        };
        Matcher::builder()
            .http(text(&self.http))
            .https(text(&self.https))
            .no(self.except.clone())
            .build()
    }
}

impl OutboundConfig {
    /// Reads what the environment says.
    pub(super) fn read(environment: &Environment, notes: &Notes<'_>) -> Self {
        let proxy = |own: &Option<(&'static str, Secret)>| {
            let (variable, url) = own.clone().or_else(|| environment.all_proxy.clone())?;
            if let Err(wrong) = check_proxy(url.reveal()) {
                notes.add(None, &format!("environment variable {variable}"), wrong);
                return None;
            }
            Some(url)
        };
        Self {
            proxies: Proxies {
                http: proxy(&environment.http_proxy),
                https: proxy(&environment.https_proxy),
                except: environment.no_proxy.clone().unwrap_or_default(),
            },
            authorities: authorities(environment, notes),
        }
    }

    /// The authorities that are trusted: those of the environment's choice, or the system's, or, where the system has
    /// none, Mozilla's as of this program's build.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(authorities) => {
                roots.add_parsable_certificates(authorities.iter().cloned());
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                for error in &found.errors {
                    tracing::warn!(%error, "some of the system's certificates cannot be read");
                }
                roots.add_parsable_certificates(found.certs);
            }
        }
        if roots.is_empty() {
            tracing::info!("the system has no certificates: Mozilla's authorities are trusted");
            roots
                .roots
                .extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots
    }
}

/// Says what is wrong with a proxy's URL, without its credentials.
fn check_proxy(url: &str) -> Result<(), Diagnostic> {
    let invalid = |what: &str| {
        Diagnostic::new(
            Code::InvalidValue,
            what,
            "write http://proxy.example.com:3128, with user:password@ before the host if it asks for them",
        )
    };
    let uri: Uri = url
        .parse()
        .map_err(|_| invalid("this is not the URL of a proxy"))?;
    match uri.scheme_str() {
        None | Some("http" | "https") => {}
        Some(other) => {
            return Err(invalid(&format!(
                "proxies that speak {other} are not supported"
            )));
        }
    }
    let Some(authority) = uri.authority().filter(|named| !named.host().is_empty()) else {
        return Err(invalid("this names no proxy"));
    };
    // The library takes any digits for a port, and those beyond the last one for none.
    let named = authority.as_str().rsplit('@').next();
    let has_port = named.is_some_and(|named| named != authority.host());
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err(invalid("this has a port that is none"));
    }
    Ok(())
}

fn authorities(environment: &Environment, notes: &Notes<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let (file, folder) = (&environment.ssl_cert_file, &environment.ssl_cert_dir);
    if file.is_none() && folder.is_none() {
        return None;
    }
    let mut found = Vec::new();
    if let Some(file) = file {
        match certificates(file) {
            Ok(certificates) => found.extend(certificates),
            Err(wrong) => notes.add(None, "environment variable SSL_CERT_FILE", wrong),
        }
    }
    // Several folders have colons between them, as OpenSSL has it.
    for folder in folder.iter().flat_map(std::env::split_paths) {
        let loaded = rustls_native_certs::load_certs_from_paths(None, Some(&folder));
        found.extend(loaded.certs);
        if let Some(error) = loaded.errors.first() {
            let wrong = Diagnostic::new(
                Code::FileUnreadable,
                error.to_string(),
                "name folders of PEM files under their hashes (`openssl rehash`), or unset the variable",
            );
            notes.add(None, "environment variable SSL_CERT_DIR", wrong);
        }
    }
    Some(found)
}
