//! One request and its response: connections, redirects, and limits on all of it.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    connect::{self, HttpClient},
    error::RegistryError,
    patience::Patience,
};
use crate::config::{Reference, RegistryConfig, is_loopback};

/// The maximum number of redirects: registries redirect to their storage, which redirects no further.
const MAX_REDIRECTIONS: usize = 5;

/// Sends requests on the connections of one pull or push.
pub(super) struct Transport<'a> {
    config: &'a RegistryConfig,
    patience: Patience,
    /// By configured registry, and one for all others.
    clients: Mutex<HashMap<Option<String>, HttpClient>>,
}

/// A request to a registry.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Ask {
    /// A request for a registry's own path.
    pub(super) fn at(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl<'a> Transport<'a> {
    pub(super) fn new(config: &'a RegistryConfig, patience: Patience) -> Self {
        Self {
            config,
            patience,
            clients: Mutex::default(),
        }
    }

    /// Its time-outs.
    pub(super) fn patience(&self) -> &Patience {
        &self.patience
    }

    pub(super) fn config(&self) -> &RegistryConfig {
        self.config
    }

    /// The URI of a path in the API of a reference's repository.
    pub(super) fn uri(&self, reference: &Reference, path: &str) -> Result<Uri, RegistryError> {
        let scheme = if self.is_plain(reference.registry(), reference.is_local()) {
            "http"
        } else {
            "https"
        };
        let (host, repository) = (reference.host(), reference.repository());
        let uri = format!("{scheme}://{host}/v2/{repository}/{path}");
        uri.parse()
            .map_err(|error| odd(host, format!("{path:?}: {error}")))
    }

    /// Returns whether a host is called over plain HTTP.
    fn is_plain(&self, host: &str, is_here: bool) -> bool {
        match self.config.host(host) {
            Some(own) => own
                .insecure
                .unwrap_or(is_here && own.authorities.is_empty()),
            None => is_here,
        }
    }

    /// Sends a request, and follows redirects of safe methods. `proof` goes only to the first host, and nothing goes to
    /// another host over plain HTTP unless that is allowed.
    ///
    /// # Errors
    /// When a redirect is not allowed, or leads to another host that requires authentication: its challenge is not the
    /// registry's and could name any token service.
    pub(super) async fn follow(
        &self,
        mut ask: Ask,
        proof: Option<&HeaderValue>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let (first, first_host) = (origin(&ask.uri), host_of(&ask.uri));
        for _ in 0..=MAX_REDIRECTIONS {
            let proof = proof.filter(|_| origin(&ask.uri) == first);
            let answer = self.send(&ask, proof).await?;
            let is_read = matches!(ask.method, Method::GET | Method::HEAD);
            if !is_read || !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
                let is_refused = matches!(
                    answer.status(),
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
                );
                if is_refused && origin(&ask.uri) != first {
                    let what = format!(
                        "it leads to {}, which answers {}",
                        host_of(&ask.uri),
                        answer.status().as_u16()
                    );
                    return Err(odd(&first_host, what));
                }
                return Ok(answer);
            }
            ask.uri = self.location(&ask.uri, answer.headers())?;
        }
        let host = host_of(&ask.uri);
        Err(odd(
            &host,
            format!("it leads further {MAX_REDIRECTIONS} times"),
        ))
    }

    /// The destination of a redirect.
    ///
    /// # Errors
    /// When it is invalid, or plain HTTP and that is not allowed.
    pub(super) fn location(&self, from: &Uri, headers: &HeaderMap) -> Result<Uri, RegistryError> {
        let host = host_of(from);
        let location = headers
            .get(header::LOCATION)
            .and_then(|to| to.to_str().ok());
        let location = location.ok_or_else(|| odd(&host, "it leads nowhere".to_owned()))?;
        let (scheme, authority) = origin(from);
        let whole = match location {
            absolute if absolute.contains("://") => absolute.to_owned(),
            other if other.starts_with("//") => format!("{scheme}:{other}"),
            path if path.starts_with('/') => format!("{scheme}://{authority}{path}"),
            _ => {
                return Err(odd(
                    &host,
                    "it leads to a path that begins nowhere".to_owned(),
                ));
            }
        };
        let to: Uri = whole
            .parse()
            .map_err(|_| odd(&host, "it leads to what is no address".to_owned()))?;
        self.check_scheme(&host, from, &to)?;
        Ok(to)
    }

    /// Refuses plain HTTP unless it is allowed for the host or it is the host that redirects; and refuses this machine
    /// if a remote registry redirects there, unless the configuration names it: local services must not be called on
    /// behalf of others.
    pub(super) fn check_scheme(&self, host: &str, from: &Uri, to: &Uri) -> Result<(), RegistryError> {
        let other = host_of(to);
        if is_loopback(&other) && !is_loopback(&host_of(from)) && self.config.host(&other).is_none() {
            return Err(odd(
                host,
                format!("it leads to {other}, which is this machine"),
            ));
        }
        let is_allowed = match to.scheme_str() {
            Some("https") => true,
            Some("http") => origin(from) == origin(to) || self.is_plain(&other, is_loopback(&other)),
            _ => false,
        };
        if is_allowed && !other.is_empty() && !to.authority().is_some_and(|to| to.as_str().contains('@')) {
            return Ok(());
        }
        Err(RegistryError::Insecure {
            host: host.to_owned(),
            to: other,
        })
    }

    async fn send(&self, ask: &Ask, proof: Option<&HeaderValue>) -> Result<Response<Incoming>, RegistryError> {
        let host = host_of(&ask.uri);
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.uri.clone();
        let agent = HeaderValue::from_static(concat!("wasmgate/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(header::USER_AGENT, agent);
        for (name, value) in &ask.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        if let Some(proof) = proof {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, proof.clone());
        }
        let patience = if ask.body.is_empty() {
            self.patience.head
        } else {
            self.patience.upload
        };
        let sent = timeout(patience, self.client(&host)?.request(request)).await;
        let unreachable = |error: String| RegistryError::Unreachable {
            host: host.clone(),
            error,
        };
        sent.map_err(|_| unreachable(format!("no answer within {patience:?}")))?
            .map_err(|error| unreachable(chain(&error)))
    }

    fn client(&self, host: &str) -> Result<HttpClient, RegistryError> {
        let own = self.config.host(host);
        let key = own.map(|_| host.to_owned());
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = connect::client(self.config, own).map_err(|error| RegistryError::Machine(error.to_string()))?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        behind = error.source();
    }
    text
}

/// The scheme and the authority of a URI, with its port.
fn origin(uri: &Uri) -> (String, String) {
    let scheme = uri.scheme_str().unwrap_or("https").to_owned();
    let port = uri
        .port_u16()
        .unwrap_or(if scheme == "http" { 80 } else { 443 });
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    (scheme, format!("{host}:{port}"))
}

/// Returns whether two URIs have the same origin.
pub(super) fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    origin(one) == origin(other)
}

/// The host of a URI, with its explicit port.
pub(super) fn host_of(uri: &Uri) -> String {
    let authority = uri.authority().map(|authority| authority.as_str());
    let authority = authority.unwrap_or_default();
    let bare = authority
        .rsplit_once('@')
        .map_or(authority, |(_, bare)| bare);
    bare.to_ascii_lowercase()
}

/// A response that violates the protocol.
pub(super) fn odd(host: &str, what: String) -> RegistryError {
    RegistryError::Odd {
        host: host.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RegistryHost;

    #[test]
    fn a_registry_elsewhere_leads_to_nothing_of_this_machine() {
        let mut config = RegistryConfig::default();
        let leads = |config: &RegistryConfig, from: &str, to: &str| {
            let transport = Transport::new(config, Patience::default());
            let (from, to): (Uri, Uri) = (from.parse().unwrap(), to.parse().unwrap());
            transport
                .check_scheme("registry", &from, &to)
                .map_err(|error| error.to_string())
        };
        let elsewhere = "https://registry.example.com/v2/";
        for here in [
            "http://127.0.0.1:9090/metrics",
            "https://127.8.0.1/",
            "http://[::1]:5000/",
            "https://LOCALHOST/",
        ] {
            let told = leads(&config, elsewhere, here).unwrap_err();
            assert!(told.contains("which is this machine"), "{told}");
            assert_eq!(
                leads(&config, "http://localhost:5000/v2/", here),
                Ok(()),
                "{here}"
            );
        }
        assert_eq!(
            leads(&config, elsewhere, "https://storage.example.com/x"),
            Ok(())
        );
        config
            .hosts
            .insert("127.0.0.1:9000".to_owned(), RegistryHost::default());
        assert_eq!(leads(&config, elsewhere, "http://127.0.0.1:9000/x"), Ok(()));
    }
}
