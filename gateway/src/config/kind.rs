//! `kind`: how a package's component is called.

use wasmgate_common::{Code, Diagnostic};

use super::reader::one_of;

/// The way in which a component is called.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Kind {
    /// It exports an HTTP handler.
    #[default]
    Http,
    /// It is a program that runs once for each request, by the Common Gateway Interface (RFC 3875).
    Cgi,
}

/// The word for a component with a handler, which is meant unless something is said.
pub(super) const HTTP: &str = "http";

const CGI: &str = "cgi";

/// The variables by which the gateway tells a program of CGI about its request, besides those of header fields, whose
/// names begin with `HTTP_`.
pub(crate) const CGI_VARIABLES: [&str; 19] = [
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "GATEWAY_INTERFACE",
    "HTTPS",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REQUEST_METHOD",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCRIPT_NAME",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
    "X_FULL_URL",
    "X_MATCHED_ROUTE",
    "X_RAW_PATH_INFO",
];

impl Kind {
    pub(super) fn parse(text: &str) -> Result<Self, Diagnostic> {
        match text {
            HTTP => Ok(Self::Http),
            CGI => Ok(Self::Cgi),
            _ => Err(Diagnostic::new(
                Code::UnknownName,
                format!("there is no kind {text:?}"),
                format!("write {}", one_of(&[HTTP, CGI])),
            )),
        }
    }

    /// Returns whether the gateway itself sets this variable for each request.
    pub(super) fn sets(self, variable: &str) -> bool {
        self == Self::Cgi && CGI_VARIABLES.contains(&variable)
    }
}
