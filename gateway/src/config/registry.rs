//! `[registry]`: how components are pulled from registries.

use std::{
    collections::BTreeMap,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, pem::PemObject as _};
use wasmgate_common::{Code, Diagnostic, read_file};

use super::{
    certificate,
    environment::Environment,
    outbound::OutboundConfig,
    reader::{Notes, Section},
    reference, unit,
};

/// The most bytes of a file of credentials: a thousand registries take a tenth of it.
pub(crate) const MAX_CREDENTIALS: u64 = 1 << 20;

/// The range of `refresh`: more often than every second burdens a registry for nothing, and what is due in more than a
/// day is a deployment's business.
const REFRESHES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// What stands before the point of a key on P-256 (RFC 5480, 2): the two identifiers, and a string of 66 bytes.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Bytes of an uncompressed point on P-256 (SEC 1, 2.3.3).
const POINT: usize = 65;

/// Checked `[registry]`, and what the environment says of registries.
#[derive(Clone, Debug, Default)]
pub struct RegistryConfig {
    /// The time after which tags are looked up again; `None` for never while the gateway serves.
    pub refresh: Option<Duration>,
    /// The registries of which something is said, by their hosts with their ports.
    pub hosts: BTreeMap<String, RegistryHost>,
    /// Docker's file of credentials (`$DOCKER_CONFIG/config.json`, or that in `~/.docker`), which may not be there.
    pub docker: Option<PathBuf>,
    /// The proxies and authorities of the environment.
    pub outbound: OutboundConfig,
}

/// Checked `[registry.host."HOST"]`.
#[derive(Clone, Debug, Default)]
pub struct RegistryHost {
    /// A file of credentials in Docker's form, as a Kubernetes pull secret has it; `None` for Docker's own.
    pub credentials: Option<PathBuf>,
    /// Authorities that are trusted besides the usual ones.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Whether it is called by plain HTTP; `None` for on this machine alone.
    pub insecure: Option<bool>,
    /// The key by which its components must be signed; `None` for unsigned ones too.
    pub verify: Option<VerifyKey>,
}

/// A public key that cosign signs for: ECDSA on P-256.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub struct VerifyKey {
    file: PathBuf,
    point: Vec<u8>,
}

impl VerifyKey {
    /// Reads a key in PEM form, as `cosign generate-key-pair` writes it.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no key on P-256.
    pub fn read(file: &Path) -> Result<Self, Diagnostic> {
        let text = certificate::read(file)?;
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&text).ok();
        let point = der.as_ref().and_then(|der| der.strip_prefix(&P256[..]));
        match point {
            Some(point) if point.len() == POINT => Ok(Self {
                file: file.to_owned(),
                point: point.to_owned(),
            }),
            _ => Err(Diagnostic::new(
                Code::InvalidValue,
                format!("{} holds no public key for ECDSA on P-256", file.display()),
                "name the cosign.pub of `cosign generate-key-pair`, with -----BEGIN PUBLIC KEY-----",
            )),
        }
    }

    /// The file it was read from.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The point, uncompressed.
    pub(crate) fn point(&self) -> &[u8] {
        &self.point
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifyKey").field(&self.file).finish()
    }
}

/// The keys of `[registry]`.
const KEYS: [&str; 2] = ["refresh", "host"];

/// The keys of `[registry.host."HOST"]`.
const HOST_KEYS: [&str; 4] = ["credentials", "ca", "insecure", "verify"];

impl RegistryConfig {
    /// Nothing but what the environment says.
    pub fn of(environment: &Environment, outbound: &OutboundConfig) -> Self {
        Self {
            docker: environment
                .docker_config
                .as_ref()
                .map(|folder| folder.join("config.json")),
            outbound: outbound.clone(),
            ..Self::default()
        }
    }

    /// Nothing but what a command says of one registry, and the environment.
    ///
    /// # Errors
    /// With what is wrong with the environment or a file.
    pub fn of_call(
        registry: &str,
        credentials: Option<&Path>,
        ca: Option<&Path>,
        insecure: bool,
    ) -> Result<Self, Diagnostic> {
        let environment = Environment::read();
        let notes = Notes::new([(Path::new(""), "")]);
        let outbound = OutboundConfig::read(&environment, &notes);
        if let Some(wrong) = notes.take().into_iter().next() {
            return Err(wrong);
        }
        let mut config = Self::of(&environment, &outbound);
        let host = RegistryHost {
            credentials: credentials.map(check_credentials).transpose()?,
            authorities: ca
                .map(certificate::certificates)
                .transpose()?
                .unwrap_or_default(),
            insecure: insecure.then_some(true),
            verify: None,
        };
        config.hosts.insert(registry.to_owned(), host);
        Ok(config)
    }

    /// Reads the section; paths are resolved against `folder`.
    pub(super) fn read(
        root: &Section<'_>,
        folder: &Path,
        environment: &Environment,
        outbound: &OutboundConfig,
    ) -> Self {
        let mut config = Self::of(environment, outbound);
        let Some(section) = root.section("registry", &KEYS) else {
            return config;
        };
        config.refresh = section.parsed("refresh", "5m", |text| unit::duration(text, &REFRESHES));
        for (name, value) in section.named("host") {
            let host = name.parsed(|text| {
                reference::host(text).ok_or_else(|| {
                    Diagnostic::new(
                        Code::InvalidValue,
                        format!("{text:?} is no registry"),
                        "write its host, with its port if it has one, such as \"registry.example.com:5000\"",
                    )
                })
            });
            let own = value
                .section(&HOST_KEYS)
                .map(|own| RegistryHost::read(&own, folder));
            if let (Some(host), Some(own)) = (host, own) {
                config.hosts.insert(host, own);
            }
        }
        config
    }

    /// What is said of a registry.
    pub(crate) fn host(&self, registry: &str) -> Option<&RegistryHost> {
        self.hosts.get(registry)
    }
}

impl RegistryHost {
    fn read(section: &Section<'_>, folder: &Path) -> Self {
        let authorities = section.parsed("ca", "ca.pem", |text| {
            certificate::certificates(&folder.join(text))
        });
        Self {
            credentials: section.parsed("credentials", "config.json", |text| {
                check_credentials(&folder.join(text))
            }),
            authorities: authorities.unwrap_or_default(),
            insecure: section.flag("insecure"),
            verify: section.parsed("verify", "cosign.pub", |text| {
                VerifyKey::read(&folder.join(text))
            }),
        }
    }
}

/// Returns the file if it can be read now: what is in it may change, and is read whenever something is pulled.
fn check_credentials(file: &Path) -> Result<PathBuf, Diagnostic> {
    match read_file(file, MAX_CREDENTIALS) {
        Ok(_) => Ok(file.to_owned()),
        Err(error) => Err(Diagnostic::new(
            Code::FileUnreadable,
            format!("{} cannot be read: {error}", file.display()),
            "name a file in the form of Docker's config.json, such as the .dockerconfigjson of a mounted pull secret",
        )),
    }
}
