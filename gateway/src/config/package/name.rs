//! A package's name, which is its Dapr app-id.

use std::fmt;

use wasmgate_common::{AppId, Code, Diagnostic};

/// The longest name: a DNS label (RFC 1035, 2.3.4), since Dapr's name resolution uses app-ids as such.
const MAX_NAME: usize = 63;

/// A package's name: lower-case letters, digits and `-`, a DNS label. Cloning copies a pointer.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PackageName(AppId);

impl PackageName {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is no lower-case DNS label.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let wrong = if text.is_empty() {
            "is empty"
        } else if text.len() > MAX_NAME {
            "is longer than 63 bytes"
        } else if text.starts_with('-') || text.ends_with('-') {
            "starts or ends with \"-\""
        } else if !text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            "has characters other than a-z, 0-9 and \"-\""
        } else {
            match AppId::new(text) {
                Ok(app) => return Ok(Self(app)),
                Err(_) => "is no app-id",
            }
        };
        let likely: String = text
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(MAX_NAME)
            .collect();
        let likely = likely.trim_matches('-');
        let likely = if likely.is_empty() {
            "counter-api"
        } else {
            likely
        };
        Err(Diagnostic::new(
            Code::InvalidValue,
            format!("the package name {text:?} {wrong}"),
            format!("a name is a Dapr app-id and a DNS label: write, for example, {likely:?}"),
        ))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The app that the package is to Dapr, which has its name.
    pub fn app_id(&self) -> &AppId {
        &self.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
