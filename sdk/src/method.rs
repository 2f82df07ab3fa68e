//! Request methods.

use std::fmt;

/// A request method (RFC 9110, section 9).
///
/// ```
/// use wasmgate_sdk::Method;
///
/// assert_eq!(Method::from("PATCH"), Method::Patch);
/// assert_eq!(Method::from("PURGE").as_str(), "PURGE");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Transfer a representation of the resource.
    Get,
    /// As GET, without the body.
    Head,
    /// Let the resource process the body.
    Post,
    /// Replace the resource with the body.
    Put,
    /// Remove the resource.
    Delete,
    /// Establish a tunnel.
    Connect,
    /// Describe the resource's communication options.
    Options,
    /// Loop the request back.
    Trace,
    /// Change part of the resource (RFC 5789).
    Patch,
    /// Any other method, case-sensitive.
    Other(String),
}

impl Method {
    /// The method as it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other(name) => name,
        }
    }
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "CONNECT" => Method::Connect,
            "OPTIONS" => Method::Options,
            "TRACE" => Method::Trace,
            "PATCH" => Method::Patch,
            other => Method::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
