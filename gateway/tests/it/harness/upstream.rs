//! A server that guests call.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A server on a free port of the loopback interface that remembers who called.
///
/// `/redirect` answers 302 to `/`; everything else answers method, target, the `x-test` header and
/// the body.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let upstream = Self {
            address,
            seen: Arc::clone(&seen),
            connections: Arc::clone(&connections),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let seen = Arc::clone(&seen);
                let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        upstream
    }

    /// The requests so far, as `METHOD target`.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns the number of connections that were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<String>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    seen.lock().unwrap().push(line.clone());
    if request.uri().path() == "/redirect" {
        let redirect = Response::builder().status(302).header("location", "/");
        return Ok(redirect.body(Full::default()).unwrap());
    }
    let header = request
        .headers()
        .get("x-test")
        .map_or_else(String::new, |value| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        });
    let body = request
        .into_body()
        .collect()
        .await
        .map_or_else(|_| Bytes::new(), |body| body.to_bytes());
    let answer = format!("{line} {header} {}", String::from_utf8_lossy(&body));
    Ok(Response::new(Full::new(Bytes::from(
        answer.trim_end().to_owned(),
    ))))
}
