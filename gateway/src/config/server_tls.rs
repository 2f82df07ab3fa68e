//! `[server.tls]`: the certificate of the public listener, and client certificates.

use std::{
    fmt,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{RootCertStore, pki_types::CertificateDer, sign::CertifiedKey};
use wasmgate_common::{Code, Diagnostic, Place};

use super::{
    certificate::{certificates, key, pair},
    reader::Section,
    tls::authorities,
    validity::validity,
};

/// The keys of `[server.tls]`.
const KEYS: [&str; 3] = ["certificate", "key", "client_ca"];

/// The bits of a file's mode by which users other than its owner and group have something of it.
const OTHERS: u32 = 0o007;

/// Checked `[server.tls]`, with what was in its files.
#[derive(Clone)]
pub struct ServerTls {
    /// The file of the chain of certificates, the server's own first.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
    /// The file of the authorities of which every client must show a certificate.
    pub client_ca: Option<PathBuf>,
    /// The chain and the key.
    pub identity: Arc<CertifiedKey>,
    /// The authorities of clients.
    pub clients: Option<Arc<RootCertStore>>,
    /// The time from which the certificate is valid.
    pub not_before: SystemTime,
    /// The time until which it is.
    pub not_after: SystemTime,
    /// What tells the files, as they were before they were read, from others.
    pub stamps: Stamps,
}

/// What tells files from others under the same names: device, inode, size and times in nanoseconds; `None` for one that
/// is not there.
pub type Stamps = [Option<[i128; 5]>; 3];

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            certificate,
            key,
            client_ca,
            ..
        } = self;
        let mut shown = f.debug_struct("ServerTls");
        shown
            .field("certificate", certificate)
            .field("key", key)
            .field("client_ca", client_ca);
        shown.finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads the table `tls` of `[server]` and its files; paths are resolved against `folder`.
    pub(super) fn read(server: &Section<'_>, folder: &Path) -> Option<Self> {
        let section = server.section("tls", &KEYS)?;
        for (needed, example) in [("certificate", "tls.crt"), ("key", "tls.key")] {
            let lacks = format!("TLS needs a {needed}");
            section.requires(needed, &lacks, &format!("{example:?}"));
        }
        let file = |key, example| {
            let name = section.text(key, example)?;
            Some((folder.join(name.value), name))
        };
        let (certificate, own_key, client_ca) = (
            file("certificate", "tls.crt"),
            file("key", "tls.key"),
            file("client_ca", "clients.crt"),
        );
        let paths = [&certificate, &own_key, &client_ca].map(|file| Some(file.as_ref()?.0.as_path()));
        let stamps = stamps(paths);
        let clients = client_ca
            .as_ref()
            .and_then(|(file, name)| name.parsed(|_| client_authorities(file)));
        let chain = certificate.as_ref().and_then(|(file, name)| {
            name.parsed(|_| {
                let chain = certificates(file)?;
                let times = times(file, &chain)?;
                Ok((chain, times))
            })
        });
        let own = own_key
            .as_ref()
            .and_then(|(file, name)| name.parsed(|_| key(file)));
        let ((chain, (not_before, not_after)), own) = (chain?, own?);
        let (key_file, name) = own_key?;
        Some(Self {
            identity: name.parsed(|_| pair(chain, own)).map(Arc::new)?,
            certificate: certificate?.0,
            key: key_file,
            client_ca: client_ca.map(|(file, _)| file),
            clients,
            not_before,
            not_after,
            stamps,
        })
    }

    /// The same with what is in the files now.
    ///
    /// # Errors
    /// With the first thing that is wrong with them, and its key.
    pub fn renewed(&self) -> Result<Self, Diagnostic> {
        let stamps = self.stamps_now();
        let at = |key: &str| {
            let key = format!("server.tls.{key}");
            move |wrong: Diagnostic| wrong.at(Place::of_key(&key))
        };
        let chain = certificates(&self.certificate).map_err(at("certificate"))?;
        let (not_before, not_after) = times(&self.certificate, &chain).map_err(at("certificate"))?;
        let identity = key(&self.key)
            .and_then(|key| pair(chain, key))
            .map_err(at("key"))?;
        let clients = self
            .client_ca
            .as_deref()
            .map(client_authorities)
            .transpose();
        Ok(Self {
            identity: Arc::new(identity),
            clients: clients.map_err(at("client_ca"))?,
            not_before,
            not_after,
            stamps,
            ..self.clone()
        })
    }

    /// What tells the files as they are now from others.
    pub fn stamps_now(&self) -> Stamps {
        stamps([
            Some(&self.certificate),
            Some(&self.key),
            self.client_ca.as_deref(),
        ])
    }

    /// Returns whether clients see the same.
    pub fn is_same(&self, other: &Self) -> bool {
        let authorities = |one: &Self| one.clients.as_ref().map(|store| store.roots.clone());
        self.identity.cert == other.identity.cert
            && authorities(self) == authorities(other)
            && (&self.certificate, &self.key, &self.client_ca) == (&other.certificate, &other.key, &other.client_ca)
    }

    /// What an operator should know although it is no mistake, a sentence for each.
    pub fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        let mode = std::fs::metadata(&self.key).map_or(0, |key| key.mode());
        if mode & OTHERS != 0 {
            caveats.push(format!(
                "server.tls.key: every user of this machine has access to {}: `chmod o= {0}`",
                self.key.display()
            ));
        }
        if self.not_before > SystemTime::now() {
            caveats.push(format!(
                "server.tls.certificate: {} is not valid before {}, and clients refuse it until then",
                self.certificate.display(),
                shown(self.not_before)
            ));
        }
        caveats
    }
}

fn stamps(files: [Option<&Path>; 3]) -> Stamps {
    files.map(|file| {
        let found = std::fs::metadata(file?).ok()?;
        let nanoseconds = |seconds: i64, more: i64| i128::from(seconds) * 1_000_000_000 + i128::from(more);
        Some([
            found.dev().into(),
            found.ino().into(),
            found.size().into(),
            nanoseconds(found.mtime(), found.mtime_nsec()),
            nanoseconds(found.ctime(), found.ctime_nsec()),
        ])
    })
}

/// A time in UTC, to the second.
pub(crate) fn shown(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The times between which the first certificate of a chain is valid.
fn times(file: &Path, chain: &[CertificateDer<'static>]) -> Result<(SystemTime, SystemTime), Diagnostic> {
    let (from, until) = chain.first().and_then(validity).ok_or_else(|| {
        Diagnostic::new(
            Code::InvalidValue,
            format!("the first certificate in {} is broken", file.display()),
            "name a file in PEM form, with -----BEGIN CERTIFICATE-----",
        )
    })?;
    if until <= SystemTime::now() {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            format!(
                "the certificate in {} has expired on {}",
                file.display(),
                shown(until)
            ),
            "renew it: clients refuse it",
        ));
    }
    Ok((from, until))
}

fn client_authorities(file: &Path) -> Result<Arc<RootCertStore>, Diagnostic> {
    let mut store = RootCertStore::empty();
    // What can be no authority was refused.
    store.add_parsable_certificates(authorities(file)?);
    Ok(Arc::new(store))
}
