//! Certificates and keys in PEM files, and messages about what is wrong with them.

use std::{io::ErrorKind, path::Path};

use rustls::{
    Error, InconsistentKeys,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use wasmgate_common::{Code, Diagnostic, read_file};

/// The longest file that is read: all authorities of a system take a fifth of it.
const MAX_FILE: u64 = 1 << 20;

/// The certificates in a PEM file, at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Diagnostic> {
    let text = read(file)?;
    let shown = file.display();
    let invalid = |what: String| {
        Diagnostic::new(
            Code::InvalidValue,
            what,
            "name a file in PEM form, with -----BEGIN CERTIFICATE-----",
        )
    };
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(format!("{shown} holds a broken certificate: {error}")))?;
    if !found.is_empty() {
        return Ok(found);
    }
    let what = format!("{shown} holds no certificate");
    Err(invalid(if PrivateKeyDer::from_pem_slice(&text).is_ok() {
        what + " but a private key"
    } else {
        what
    }))
}

/// The private key in a PEM file, the first one.
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, Diagnostic> {
    let text = read(file)?;
    let shown = file.display();
    let (what, help) = match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => return Ok(key),
        Err(_) if is_encrypted(&text) => (
            format!("{shown} holds a private key that is encrypted"),
            format!(
                "take the passphrase off, `openssl pkey -in {shown} -out plain.key`, and name the new file, \
                 which only the user that runs the gateway should be able to read"
            ),
        ),
        Err(error) => {
            let what = match CertificateDer::from_pem_slice(&text) {
                Ok(_) => format!("{shown} holds no private key but a certificate"),
                Err(_) => format!("{shown} holds no private key: {error}"),
            };
            let help = "name a file in PEM form, with -----BEGIN PRIVATE KEY-----, that is not encrypted";
            (what, help.to_owned())
        }
    };
    Err(Diagnostic::new(Code::InvalidValue, what, help))
}

/// A chain of certificates with the key of the first one.
pub(super) fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, Diagnostic> {
    let provider = rustls::crypto::ring::default_provider();
    let others: Vec<_> = chain.iter().skip(1).cloned().collect();
    let again = key.clone_key();
    CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let fits = |other: &CertificateDer<'static>| {
                CertifiedKey::from_der(vec![other.clone()], again.clone_key(), &provider).is_ok()
            };
            let help = match others.iter().position(fits) {
                Some(position) => format!(
                    "it is the key of certificate {} in `certificate`: put that one first, then the one that signed it, \
                     and so on",
                    position.saturating_add(2)
                ),
                None => "name the key that the first certificate in `certificate` was made for".to_owned(),
            };
            Diagnostic::new(
                Code::Conflict,
                "this is not the key of the certificate: their public keys differ",
                help,
            )
        }
        Error::InvalidCertificate(error) => Diagnostic::new(
            Code::InvalidValue,
            format!("the first certificate in `certificate` is none that TLS can show: {error:?}"),
            "make one of X.509 version 3",
        ),
        error => Diagnostic::new(
            Code::Unsupported,
            format!("the key is of a kind that is not supported: {error}"),
            "make an ECDSA key (P-256 or P-384), an Ed25519 key, or an RSA key of 2048 to 8192 bits, and a certificate for it",
        ),
    })
}

/// The bytes of a small file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Diagnostic> {
    let shown = file.display();
    let unreadable = |why: String| {
        Diagnostic::new(
            Code::FileUnreadable,
            format!("{shown} cannot be read: {why}"),
            "correct the path, or make the file readable for the user that runs the gateway",
        )
    };
    read_file(file, MAX_FILE).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => Diagnostic::new(
            Code::FileTooLong,
            format!("{shown} has more than a megabyte"),
            "name a file in PEM form with the certificates or the key and nothing else",
        ),
        _ => unreadable(error.to_string()),
    })
}

/// Returns whether there is an encrypted key, in the form of PKCS #8 (RFC 5958) or the one before it (RFC 1421).
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
}
