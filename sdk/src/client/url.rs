//! The few parts of a URL a call needs.

use super::Error;

/// An absolute `http` or `https` URL (RFC 9110, section 4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) https: bool,
    pub(crate) authority: String,
    /// Path and query, never empty.
    pub(crate) target: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |reason| Error::InvalidUrl {
            url: text.to_owned(),
            reason,
        };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid("it has no scheme, such as `http://`"))?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(invalid("its scheme is neither `http` nor `https`")),
        };
        // A fragment stays with the caller.
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(invalid("it names no host"));
        }
        if authority.contains('@') {
            return Err(invalid(
                "a user in a URL is not sent; use an `authorization` header",
            ));
        }
        if rest.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(invalid(
                "it has a blank or a control character; percent-encode it",
            ));
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Url {
            https,
            authority: authority.to_owned(),
            target: format!("{slash}{target}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_what_a_request_needs() {
        let parts = |text| {
            let url = Url::parse(text).unwrap();
            (url.https, url.authority, url.target)
        };
        assert_eq!(parts("http://a"), (false, "a".into(), "/".into()));
        assert_eq!(
            parts("HTTPS://a:8443?q#f"),
            (true, "a:8443".into(), "/?q".into())
        );
        assert_eq!(
            parts("http://[::1]:80/a?b=c"),
            (false, "[::1]:80".into(), "/a?b=c".into())
        );
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for text in [
            "",
            "/a",
            "ftp://a",
            "http://",
            "http:///a",
            "http://u:p@a",
            "http://a/b c",
        ] {
            assert!(
                matches!(Url::parse(text), Err(Error::InvalidUrl { .. })),
                "{text}"
            );
        }
    }
}
