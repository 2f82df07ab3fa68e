//! App-ids.

use std::{fmt, sync::Arc};

use serde::Deserialize;

/// The name of an app as Dapr knows it: a package of the gateway, or an ordinary process.
///
/// One to 63 letters, digits, `-`, `_` or `.`; so it never holds the `||` that separates an app-id from a state key.
/// Cloning copies a pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct AppId(Arc<str>);

/// A text that is no app-id.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no app-id: write 1 to 63 letters, digits, `-`, `_` or `.`")]
pub struct AppIdError(String);

impl AppId {
    /// The longest app-id, in bytes: that of a DNS label (RFC 1035, 2.3.4), which is what Kubernetes makes of it.
    pub const MAX_LEN: usize = 63;

    /// Reads an app-id.
    ///
    /// # Errors
    /// When `name` is empty, too long or has other characters.
    pub fn new(name: &str) -> Result<Self, AppIdError> {
        if is_app_id(name) {
            Ok(Self(name.into()))
        } else {
            Err(AppIdError(name.to_owned()))
        }
    }

    /// An app-id of the program's own.
    ///
    /// # Panics
    /// When it is none, which is a mistake in the program.
    pub fn from_static(name: &'static str) -> Self {
        assert!(is_app_id(name), "no app-id");
        Self(name.into())
    }

    /// The app-id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_app_id(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=AppId::MAX_LEN).contains(&name.len()) && name.bytes().all(is_legal)
}

impl TryFrom<String> for AppId {
    type Error = AppIdError;

    fn try_from(name: String) -> Result<Self, AppIdError> {
        Self::new(&name)
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_id_is_a_short_word_without_separators() {
        let longest = "a".repeat(AppId::MAX_LEN);
        for right in ["a", "Shop-2_b.c", &longest] {
            assert_eq!(AppId::new(right).unwrap().as_str(), right);
        }
        for wrong in ["", "a b", "a||b", "a/b", "ä", &format!("{longest}a")] {
            let error = AppId::new(wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{wrong:?}")), "{error}");
        }
    }
}
