//! The client of the admin listener, used by `wasmgate parked` and others.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::config::Secret;

/// The time-out of a call: releasing a million events takes some seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A gateway's admin listener.
#[derive(Debug, Clone)]
pub struct Client {
    address: String,
    token: Option<Secret>,
}

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing answers there.
    #[error("no gateway's admin listener answers at {address}: {error}; name it with --admin")]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// The system's error.
        error: io::Error,
    },
    /// Something else answers there.
    #[error("what answers at {address} is no gateway's admin listener; name it with --admin")]
    NoGateway {
        /// The address that was tried.
        address: String,
    },
    /// The connection or the response broke off.
    #[error("the gateway's answer broke off: {0}")]
    Broken(String),
    /// The gateway refuses.
    #[error("the gateway refused ({status}): {message}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its reason.
        message: String,
    },
}

impl Client {
    /// A client of the listener at `address` (host and port), which sends `token`.
    pub fn new(address: impl Into<String>, token: Option<Secret>) -> Self {
        let address: String = address.into();
        let bare = address.strip_prefix("http://").unwrap_or(&address);
        Self {
            address: bare.trim_end_matches('/').to_owned(),
            token,
        }
    }

    /// Gets a page as JSON.
    ///
    /// # Errors
    /// When there is no gateway, or it refuses.
    pub async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, CallError> {
        self.call(Method::GET, target, Bytes::new()).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// When there is no gateway, or it refuses.
    pub async fn post<T: DeserializeOwned>(&self, target: &str, order: &impl serde::Serialize) -> Result<T, CallError> {
        let body = serde_json::to_vec(order).map_err(broken)?;
        self.call(Method::POST, target, body.into()).await
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, target: &str, body: Bytes) -> Result<T, CallError> {
        let exchange = self.exchange(method, target, body);
        let answered = tokio::time::timeout(PATIENCE, exchange).await;
        let (status, body) = answered.map_err(broken)??;
        let no_gateway = || CallError::NoGateway {
            address: self.address.clone(),
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| no_gateway());
        }
        let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let message = problem
            .as_ref()
            .and_then(|problem| problem.get("message")?.as_str());
        if status == StatusCode::NOT_FOUND && message.is_none() {
            // For example the public listener.
            return Err(no_gateway());
        }
        Err(CallError::Refused {
            status,
            message: message.unwrap_or("it gave no reason").to_owned(),
        })
    }

    async fn exchange(&self, method: Method, target: &str, body: Bytes) -> Result<(StatusCode, Bytes), CallError> {
        let stream = TcpStream::connect(&self.address);
        let stream = stream.await.map_err(|error| CallError::Unreachable {
            address: self.address.clone(),
            error,
        })?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(broken)?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {}", token.reveal());
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let request = request.body(Full::new(body)).map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(broken)?;
        Ok((status, body.to_bytes()))
    }
}

fn broken(error: impl ToString) -> CallError {
    CallError::Broken(error.to_string())
}
