//! `[package.NAME.tls]`: additional root certificates of a package's outgoing requests, and their client certificate.

use std::{path::Path, sync::Arc};

use rustls::{RootCertStore, pki_types::CertificateDer, sign::CertifiedKey};
use wasmgate_common::{Code, Diagnostic};

use super::{
    certificate::{certificates, key, pair},
    reader::Section,
};

/// Checked `[package.NAME.tls]`.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Authorities that are trusted besides the usual ones.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The answer to a server that asks who calls: a chain of certificates and the key of the first one.
    pub identity: Option<Arc<CertifiedKey>>,
}

/// The keys of `[package.NAME.tls]`.
const KEYS: [&str; 3] = ["ca", "certificate", "key"];

/// A client certificate is the same by its chain: the key belongs to that.
impl PartialEq for TlsConfig {
    fn eq(&self, other: &Self) -> bool {
        let chain = |one: &Self| one.identity.as_ref().map(|identity| identity.cert.clone());
        self.authorities == other.authorities && chain(self) == chain(other)
    }
}

impl TlsConfig {
    /// Reads the table `tls` of a package; paths are resolved against `folder`.
    pub(super) fn read(package: &Section<'_>, folder: &Path) -> Option<Self> {
        let section = package.section("tls", &KEYS)?;
        let authorities = section.parsed("ca", "ca.pem", |text| authorities(&folder.join(text)));
        Some(Self {
            authorities: authorities.unwrap_or_default(),
            identity: identity(&section, folder),
        })
    }
}

/// The certificates in a PEM file, each of which can be an authority.
pub(super) fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, Diagnostic> {
    let found = certificates(file)?;
    let mut store = RootCertStore::empty();
    for certificate in &found {
        store.add(certificate.clone()).map_err(|error| {
            Diagnostic::new(
                Code::InvalidValue,
                format!(
                    "{} holds a certificate that can be no authority: {error}",
                    file.display()
                ),
                "name the certificate of the authority that signed the server's",
            )
        })?;
    }
    Ok(found)
}

fn identity(section: &Section<'_>, folder: &Path) -> Option<Arc<CertifiedKey>> {
    for (given, lacking) in [("certificate", "key"), ("key", "certificate")] {
        if section.has(given) && section.is_misspelt(lacking) {
            return None;
        }
        if section.has(given) && !section.has(lacking) {
            section.refuse_key(
                given,
                Diagnostic::new(
                    Code::MissingKey,
                    format!("`{given}` is of no use without `{lacking}`"),
                    format!("add {lacking} = \"{lacking}.pem\""),
                ),
            );
            return None;
        }
    }
    let chain = section.parsed("certificate", "certificate.pem", |text| {
        certificates(&folder.join(text))
    });
    let key = section.parsed("key", "key.pem", |text| key(&folder.join(text)));
    let (chain, key) = (chain?, key?);
    match pair(chain, key) {
        Ok(identity) => Some(Arc::new(identity)),
        Err(wrong) => {
            section.refuse_key("key", wrong);
            None
        }
    }
}
