//! Certificates made for a test, and OpenSSL's own server that shows them.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use tempfile::TempDir;

use super::{LOOK_AGAIN, PATIENCE, log::Lines};

/// An authority of the test's own, with a folder for its files.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// Its own certificate is `ca.pem`, with `ca.key`.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        std::fs::write(folder.path().join("ca.key"), issuer.key().serialize_pem()).unwrap();
        Self { issuer, folder }
    }

    /// A file of it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate for hosts, good until the end of a year; `NAME.pem` and `NAME.key` are written.
    pub(crate) fn sign(&self, name: &str, hosts: &[&str], until: i32) {
        self.sign_key(name, hosts, until, &KeyPair::generate().unwrap());
    }

    /// The same for a key that takes more time: OpenSSL's of RSA with so many bits.
    pub(crate) fn sign_rsa(&self, name: &str, hosts: &[&str], until: i32, bits: u32) {
        let bits = format!("rsa_keygen_bits:{bits}");
        let mut command = Command::new("openssl");
        command.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", &bits]);
        let made = command.output().expect("openssl runs");
        let key = KeyPair::from_pem(&String::from_utf8(made.stdout).unwrap()).unwrap();
        self.sign_key(name, hosts, until, &key);
    }

    fn sign_key(&self, name: &str, hosts: &[&str], until: i32, key: &KeyPair) {
        let hosts = hosts.iter().map(|host| (*host).to_owned());
        let mut params = CertificateParams::new(hosts.collect::<Vec<_>>()).unwrap();
        params.distinguished_name = named(name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        std::fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// The subject of a certificate: one that had its authority's name would pass for that.
fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

/// `openssl s_server`, which answers each GET with a page about the connection.
pub(crate) struct OpenSsl {
    child: Child,
    _output: Lines,
    pub(crate) port: u16,
}

impl OpenSsl {
    /// Starts it with a certificate of `authority` by its name, and more arguments.
    pub(crate) fn start(authority: &Authority, name: &str, arguments: &[&str]) -> Self {
        let path = |ending: &str| authority.file(&format!("{name}.{ending}"));
        let mut child = Command::new("openssl")
            .args(["s_server", "-www", "-accept", "127.0.0.1:0"])
            .args([
                Path::new("-cert"),
                &path("pem"),
                Path::new("-key"),
                &path("key"),
            ])
            .args([Path::new("-CAfile"), &authority.file("ca.pem")])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl runs");
        let output = Lines::collect(child.stdout.take().unwrap());
        let deadline = std::time::Instant::now() + PATIENCE;
        let port = loop {
            let lines = output.all();
            // "ACCEPT 127.0.0.1:35183".
            let accept = lines.iter().find_map(|line| line.strip_prefix("ACCEPT "));
            if let Some((_, port)) = accept.and_then(|address| address.rsplit_once(':')) {
                break port.parse().unwrap();
            }
            assert!(std::time::Instant::now() < deadline, "{lines:?}");
            std::thread::sleep(LOOK_AGAIN);
        };
        Self {
            child,
            _output: output,
            port,
        }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
