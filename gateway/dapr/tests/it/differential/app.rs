//! The app of every end: it answers by its path, and remembers what it was sent.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use wasmgate_dapr::Body;

/// What the app was sent.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An app that listens.
#[derive(Clone)]
pub(super) struct App {
    pub(super) address: SocketAddr,
    log: Arc<watch::Sender<Vec<Got>>>,
}

/// What is sent because of a call comes within this; what does not come in time has not come.
const PATIENCE: Duration = Duration::from_secs(20);

impl App {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = Self {
            address: listener.local_addr().unwrap(),
            log: Arc::new(watch::Sender::new(Vec::new())),
        };
        let log = app.log.clone();
        let router = Router::new().fallback(move |request: Request<Body>| {
            let log = log.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes());
                let got = Got {
                    method: parts.method,
                    uri: parts.uri,
                    headers: parts.headers,
                    body: body.unwrap_or_default(),
                };
                let answer = answer(&got);
                log.send_modify(|log| log.push(got));
                answer
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        app
    }

    /// The same app for those who reach it at another address.
    pub(super) fn at(&self, address: SocketAddr) -> Self {
        Self {
            address,
            log: self.log.clone(),
        }
    }

    /// How much it has been sent until now.
    pub(super) fn mark(&self) -> usize {
        self.log.borrow().len()
    }

    /// What it is sent at `path` after `mark`, once it is `times` or time is up.
    pub(super) async fn sent(&self, mark: usize, path: &str, times: usize) -> Vec<Got> {
        let mut log = self.log.subscribe();
        let there = |log: &[Got]| -> Vec<Got> {
            let new = log.iter().skip(mark);
            new.filter(|got| got.uri.path() == path && got.method != Method::OPTIONS)
                .cloned()
                .collect()
        };
        let waited = log.wait_for(|log| there(log).len() >= times);
        let _ = tokio::time::timeout(PATIENCE, waited).await;
        let mut sent = there(&self.log.borrow());
        sent.truncate(times);
        sent
    }
}

/// The app's whole sense: `/echo` tells what arrived, `/status/N` answers so, and so on.
pub(super) fn answer(got: &Got) -> Response<Body> {
    let path = got.uri.path();
    let build = Response::builder();
    let text = |text: String| Body::from(text);
    match path.split('/').nth(1).unwrap_or_default() {
        "dapr" if path == "/dapr/subscribe" => {
            let subscriptions = include_str!("../../differential/subscriptions.json");
            build
                .header("content-type", "application/json")
                .body(subscriptions.into())
        }
        "dapr" => build.status(404).body(Body::empty()),
        "status" => {
            let status: u16 = path.split('/').nth(2).unwrap().parse().unwrap();
            let build = build
                .status(status)
                .header("content-type", "application/json");
            let empty = matches!(status, 204 | 304);
            build.body(if empty {
                Body::empty()
            } else {
                text(r#"{"a":1}"#.to_owned())
            })
        }
        "headers" => build
            .header("x-a", "1")
            .header("x-m", "a")
            .header("x-m", "b")
            .header("set-cookie", "c=1")
            .header("location", "/elsewhere")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("proxy-connection", "keep-alive")
            .header("keep-alive", "timeout=5")
            .header("content-type", "text/x")
            .body(text("x".to_owned())),
        "untyped" => match path {
            "/untyped/failed" => build.status(409).body(text("no".to_owned())),
            "/untyped/bytes" => build.body(text("\0\u{1}".to_owned())),
            "/untyped/empty" => build.body(Body::empty()),
            _ => build.body(text("text".to_owned())),
        },
        "moved" => build
            .status(302)
            .header("location", "/echo/moved")
            .body(Body::empty()),
        "big" => {
            let size: usize = path.split('/').nth(2).unwrap().parse().unwrap();
            build
                .header("content-type", "text/plain")
                .body(text("x".repeat(size)))
        }
        "echo" | "bound" => {
            let told = told(got).to_string();
            build
                .header("content-type", "application/json")
                .body(text(told))
        }
        "drop" => build
            .header("content-type", "application/json")
            .body(text(r#"{"status":"DROP"}"#.to_owned())),
        _ => build.body(Body::empty()),
    }
    .unwrap()
}

/// A request as JSON.
pub(super) fn told(got: &Got) -> Value {
    let body: Value = serde_json::from_slice(&got.body).unwrap_or_else(|_| String::from_utf8_lossy(&got.body).into());
    json!({
        "request": format!("{} {}", got.method, got.uri),
        "headers": super::seen::headers(&got.headers),
        "body": if got.body.len() > 1000 { got.body.len().into() } else { body },
    })
}
