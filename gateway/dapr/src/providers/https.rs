//! The HTTP client of HTTP bindings.

use axum::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// A client for web addresses, with and without TLS.
pub(crate) type HttpsClient = Client<HttpsConnector<HttpConnector>, Body>;

/// Makes a client that trusts the authorities browsers trust.
pub(crate) fn client() -> Result<HttpsClient, rustls::Error> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let connector = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider)?;
    let connector = connector.https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
