//! Connections to registries: direct or through proxies of the environment, with TLS or, where allowed, without.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::{
            Client,
            connect::{HttpConnector, proxy::Tunnel},
        },
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::Service;

use crate::config::{RegistryConfig, RegistryHost, is_loopback};

/// The time-out of connecting, for all addresses of a name together.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(20);

/// The maximum size of a response's head.
const MAX_HEAD: usize = 64 << 10;

/// The client for all requests to a registry.
pub(super) type HttpClient = Client<HttpsConnector<Dial>, Full<Bytes>>;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Connects to a host, directly or through a proxy.
#[derive(Clone)]
pub(super) struct Dial {
    proxies: Arc<Matcher>,
    direct: HttpConnector,
    to_proxy: HttpsConnector<HttpConnector>,
}

/// Creates a client with the TLS settings of `host`, if any.
///
/// # Errors
/// When the crypto provider supports no TLS version: a bug in this build.
pub(super) fn client(config: &RegistryConfig, host: Option<&RegistryHost>) -> Result<HttpClient, rustls::Error> {
    let mut roots = config.outbound.roots();
    let usual = roots.clone();
    roots.add_parsable_certificates(
        host.into_iter()
            .flat_map(|host| host.authorities.iter().cloned()),
    );
    let mut direct = HttpConnector::new();
    direct.enforce_http(false);
    direct.set_nodelay(true);
    direct.set_connect_timeout(Some(CONNECT_PATIENCE));
    let tls = |roots| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok::<_, rustls::Error>(tls.with_root_certificates(roots).with_no_client_auth())
    };
    let https = |tls| {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
        builder.https_or_http().enable_http1()
    };
    let dial = Dial {
        proxies: Arc::new(config.outbound.proxies.matcher()),
        direct: direct.clone(),
        to_proxy: https(tls(usual)?).wrap_connector(direct),
    };
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(MAX_HEAD)
        .build(https(tls(roots)?).wrap_connector(dial)))
}

impl Service<Uri> for Dial {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let is_here = to
            .authority()
            .is_some_and(|host| is_loopback(host.as_str()));
        let proxy = (!is_here).then(|| self.proxies.intercept(&to)).flatten();
        let Some(proxy) = proxy else {
            let mut direct = self.direct.clone();
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(direct.call(to).await?)) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone());
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        Box::pin(async move { Ok(tunnel.call(to).await?) })
    }
}
