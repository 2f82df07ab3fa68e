//! A route's host: a name, an address, or `*.suffix`.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use wasmgate_common::{Code, Diagnostic};

/// The longest host name without its final dot (RFC 1035, 2.3.4, less length bytes and root).
pub(super) const MAX_HOST: usize = 253;

/// The longest label of a host name (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// A checked host pattern, lower case.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum HostPattern {
    /// This host only: a name, an IPv4 address, or an IPv6 address in brackets.
    Exact(String),
    /// Every host that ends with a dot and this name, however many labels are in front.
    Suffix(String),
}

impl HostPattern {
    /// Reads `shop.example.com`, `*.example.com`, `192.0.2.1` or `[2001:db8::1]`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let lower = text.to_ascii_lowercase();
        if let Some(inner) = lower.strip_prefix('[') {
            return match inner.strip_suffix(']').map(str::parse::<Ipv6Addr>) {
                Some(Ok(address)) => Ok(Self::Exact(format!("[{address}]"))),
                _ => Err(bad(text, "is not an IPv6 address in brackets")),
            };
        }
        if let Some(suffix) = lower.strip_prefix("*.") {
            return match name(suffix) {
                Ok(()) if numeric(suffix) => Err(bad(text, "is part of an address")),
                Ok(()) => Ok(Self::Suffix(suffix.to_owned())),
                Err(why) => Err(bad(text, why)),
            };
        }
        name(&lower).map_err(|why| bad(text, why))?;
        if numeric(&lower) && lower.parse::<Ipv4Addr>().is_err() {
            return Err(bad(text, "is not an IPv4 address"));
        }
        Ok(Self::Exact(lower))
    }

    /// Returns whether a host, lower case and without a port, is one of these.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Suffix(suffix) => host
                .strip_suffix(suffix.as_str())
                .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.pad(name),
            Self::Suffix(suffix) => f.pad(&format!("*.{suffix}")),
        }
    }
}

fn bad(text: &str, why: &str) -> Diagnostic {
    Diagnostic::new(
        Code::InvalidValue,
        format!("the host {text:?} {why}"),
        "write a name such as \"shop.example.com\", \"*.example.com\" for all below it, or an address; \
         no scheme, port or path",
    )
}

/// Checks a host name: labels of letters, digits, `-` and `_`, joined by dots.
fn name(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("is empty");
    }
    if host.len() > MAX_HOST {
        return Err("is longer than a host name can be (253 bytes)");
    }
    if !host.is_ascii() {
        return Err("is not in ASCII (write an international name as xn--…)");
    }
    for label in host.split('.') {
        if label.is_empty() {
            return Err("has an empty label");
        }
        if label.len() > MAX_LABEL {
            return Err("has a label longer than 63 bytes");
        }
        if label.contains('*') {
            return Err("has a \"*\" elsewhere than in front of a dot at its start");
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        {
            return Err("has a character that no host name has");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("has a label that starts or ends with \"-\"");
        }
    }
    Ok(())
}

/// Returns whether the last label is a number, which makes the whole an IPv4 address (WHATWG URL, host parsing).
fn numeric(host: &str) -> bool {
    host.rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()))
}
