//! One route, and the results of a lookup.

use http::{HeaderValue, Method};

use super::{CleanPath, HostPattern, PathPattern, Segment};
use crate::rate_limit::RateLimitConfig;

/// One line of the route table.
#[derive(Clone, Debug)]
pub struct Route {
    path: PathPattern,
    host: Option<HostPattern>,
    methods: Option<Vec<Method>>,
    package: usize,
    strip_prefix: Option<String>,
    label: String,
    rate_limit: Option<RateLimitConfig>,
}

/// The route that answers a request.
#[derive(Clone, Copy, Debug)]
pub struct Match<'t> {
    /// The route's position in the list that the table was made of.
    pub index: usize,
    /// The route.
    pub route: &'t Route,
}

/// The reason for which no route answers a request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoMatch {
    /// No route has this host and path.
    #[error("no route has this host and path")]
    NoRoute,
    /// Routes have this host and path, but none of them takes the method.
    #[error("no route of this host and path takes this method")]
    MethodNotAllowed {
        /// The value of `Allow`: the methods that are taken, HEAD wherever GET is (RFC 9110, 10.2.1).
        allow: HeaderValue,
    },
}

impl Route {
    /// A route to the package at `package` in the configuration's list.
    ///
    /// `methods` of `None` takes every method. `strip_prefix` is in the form of a [`CleanPath`] and
    /// covers whole static segments of `path`; see [`PathPattern::strips`].
    pub fn new(
        path: PathPattern,
        host: Option<HostPattern>,
        methods: Option<Vec<Method>>,
        package: usize,
        strip_prefix: Option<String>,
    ) -> Self {
        let label = match &host {
            Some(host) => format!("{host}{path}"),
            None => path.to_string(),
        };
        Self {
            path,
            host,
            methods,
            package,
            strip_prefix,
            label,
            rate_limit: None,
        }
    }

    /// The same route, with a limit on the rate of its requests; `None` for none.
    #[must_use]
    pub fn limited_to(self, rate_limit: Option<RateLimitConfig>) -> Self {
        Self { rate_limit, ..self }
    }

    /// What tells it from every other route of a table: the requests that it takes.
    pub(crate) fn identity(&self) -> String {
        let methods: Vec<_> = self.methods.iter().flatten().map(Method::as_str).collect();
        format!("{} {}", methods.join(","), self.label)
    }

    /// The limit on the rate of its requests.
    pub fn rate_limit(&self) -> Option<&RateLimitConfig> {
        self.rate_limit.as_ref()
    }

    /// The path as it was configured.
    pub fn path(&self) -> &PathPattern {
        &self.path
    }

    /// The host; `None` for any.
    pub fn host(&self) -> Option<&HostPattern> {
        self.host.as_ref()
    }

    /// The methods; `None` for all.
    pub fn methods(&self) -> Option<&[Method]> {
        self.methods.as_deref()
    }

    /// The package that answers, as an index into the configuration's packages.
    pub fn package(&self) -> usize {
        self.package
    }

    /// The prefix that is taken off the path before the guest sees it.
    pub fn strip_prefix(&self) -> Option<&str> {
        self.strip_prefix.as_deref()
    }

    /// Host and path as configured, such as `*.example.com/c/{*rest}`: the label of metrics and logs.
    pub fn pattern(&self) -> &str {
        &self.label
    }

    /// The path that the guest sees, and the prefix that was taken off (empty for none).
    pub fn strip<'p>(&'p self, path: &'p CleanPath<'_>) -> (&'p str, &'p str) {
        let path = path.as_str();
        let Some(prefix) = self.strip_prefix.as_deref() else {
            return (path, "");
        };
        match path.strip_prefix(prefix) {
            Some("") => ("/", prefix),
            Some(rest) if rest.starts_with('/') => (rest, prefix),
            _ => (path, ""),
        }
    }

    /// The static segments in front of its path, such as `/c/v1` of `/c/v1/{*rest}`.
    pub(crate) fn mount(&self) -> String {
        self.path.literal_prefix()
    }

    /// The static segments in front of every path that the guest sees by this route, such as `/v1` of `/c/v1/{*rest}`
    /// without `/c`, and whether that is all of it.
    pub(crate) fn seen(&self) -> (String, bool) {
        let mut seen = String::new();
        let mut segments = self.path.segments().iter();
        let is_whole = segments.all(|segment| match segment {
            Segment::Static(text) => {
                seen.push('/');
                seen.push_str(text);
                true
            }
            Segment::Param(_) | Segment::Rest(_) => false,
        });
        let prefix = self.strip_prefix.as_deref().unwrap_or_default();
        let seen = seen.strip_prefix(prefix).unwrap_or(&seen);
        let seen = if seen.is_empty() && is_whole {
            "/"
        } else {
            seen
        };
        (seen.to_owned(), is_whole)
    }

    /// Returns whether the route takes the method, HEAD being taken wherever GET is.
    pub(super) fn takes(&self, method: &Method) -> bool {
        self.names(method) || (method == Method::HEAD && self.names(&Method::GET))
    }

    /// Returns whether the route takes the method by its own name.
    pub(super) fn names(&self, method: &Method) -> bool {
        self.methods
            .as_ref()
            .is_none_or(|methods| methods.contains(method))
    }
}
