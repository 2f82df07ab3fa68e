//! TLS of the public listener, against the clients of others: curl, OpenSSL, Node, and HTTP/1.1 and HTTP/2 by hand.

mod clients;
mod drain;
mod files;
mod floods;
mod hostile;
mod renewal;

use std::sync::Arc;

use http::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::harness::{Authority, Builder, Reply, TestGateway, empty, within};

/// Beyond the years in which these tests will run.
const VALID: i32 = 2099;

/// An authority with a certificate `server` for this machine.
fn authority() -> Authority {
    let authority = Authority::new();
    authority.sign("server", &["localhost", "127.0.0.1"], VALID);
    authority
}

/// The lines of `[server]` by which it speaks TLS, as one of the authority's.
fn tls(authority: &Authority, name: &str) -> String {
    let path = |ending: &str| authority.file(&format!("{name}.{ending}"));
    let (certificate, key) = (path("pem"), path("key"));
    format!(
        "tls = {{ certificate = '{}', key = '{}' }}",
        certificate.display(),
        key.display()
    )
}

/// A gateway with TLS and these packages.
fn secured(authority: &Authority) -> Builder {
    TestGateway::builder().server(&tls(authority, "server"))
}

/// What a client trusts, and the versions of HTTP that it offers.
fn client_config(authority: &Authority, protocols: &[&[u8]]) -> ClientConfig {
    client_config_of(
        authority,
        rustls::crypto::ring::default_provider(),
        protocols,
    )
}

/// The same with ciphers of its own.
fn client_config_of(authority: &Authority, provider: CryptoProvider, protocols: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let file = authority.file("ca.pem");
    roots
        .add(CertificateDer::from_pem_file(file).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

/// A connection on which TLS is agreed upon.
async fn connect(gateway: &TestGateway, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(gateway.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    within("a handshake", connector.connect(name, stream)).await
}

/// GET over HTTP/1.1 or HTTP/2, on a connection of its own.
async fn get(gateway: &TestGateway, authority: &Authority, protocol: &[u8], target: &str) -> Reply {
    let stream = connect(gateway, client_config(authority, &[protocol]))
        .await
        .expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    let stream = TokioIo::new(stream);
    let uri = format!("https://{}{target}", gateway.address);
    let response = if protocol == b"h2" {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = Request::get(uri).body(empty()).unwrap();
        within("a response", sender.send_request(request)).await
    } else {
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = gateway.request("GET", target).body(empty()).unwrap();
        within("a response", sender.send_request(request)).await
    };
    Reply::of(response.expect("a response")).await.unwrap()
}
