//! The client of the admin listener, used by `wasmgate status`, `reload` and `parked`.

use std::{future::Future, io, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::TcpStream, time::timeout};

use super::ALIVE;
use crate::config::Secret;

/// The maximum size of an answer in bytes.
const MAX_ANSWER: usize = 256 << 20;

/// A gateway's admin listener.
#[derive(Debug, Clone)]
pub struct Client {
    address: String,
    token: Option<Secret>,
    patience: Patience,
}

/// The time that a gateway has.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// To take a connection and say that it is there: it does so whatever it is busy with.
    greeting: Duration,
    /// For a question: a list of parked events is read from disk.
    question: Duration,
    /// For an order: a reload may compile large components, a minute or two each.
    order: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            greeting: seconds(5),
            question: seconds(30),
            order: seconds(600),
        }
    }
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
    /// Whoever listens there takes connections and says nothing.
    #[error(
        "what listens at {address} has said nothing for {} s; name the gateway's admin listener with --admin",
        waited.as_secs()
    )]
    Silent {
        /// The address that was tried.
        address: String,
        /// The time that it was given.
        waited: Duration,
    },
    /// The gateway is there, and has not done it in the time that it may take.
    #[error(
        "the gateway at {address} is there and has not answered within {} s; it may still be at work: see its log",
        waited.as_secs()
    )]
    Late {
        /// The gateway's address.
        address: String,
        /// The time that it was given.
        waited: Duration,
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
        Self {
            address: address.into(),
            token,
            patience: Patience::default(),
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
        let Patience {
            greeting,
            question,
            order,
        } = self.patience;
        let is_question = method == Method::GET;
        let patience = if is_question { question } else { order };
        let silent = CallError::Silent {
            address: self.address.clone(),
            waited: greeting,
        };
        let mut gateway = within(greeting, self.greet(), silent).await?;
        let late = CallError::Late {
            address: self.address.clone(),
            waited: patience,
        };
        let exchange = self.exchange(&mut gateway, method, target, body);
        let (status, body) = within(patience, exchange, late).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| self.no_gateway());
        }
        let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let message = problem
            .as_ref()
            .and_then(|problem| problem.get("message")?.as_str());
        Err(CallError::Refused {
            status,
            message: message.unwrap_or("it gave no reason").to_owned(),
        })
    }

    /// Connects to what says that it is there, as a gateway does.
    async fn greet(&self) -> Result<SendRequest<Full<Bytes>>, CallError> {
        let stream = TcpStream::connect(&self.address);
        let stream = stream.await.map_err(|error| CallError::Unreachable {
            address: self.address.clone(),
            error,
        })?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut gateway, connection) = handshake.map_err(broken)?;
        tokio::spawn(connection);
        let greeted = self.exchange(&mut gateway, Method::GET, "/livez", Bytes::new());
        // What speaks no HTTP is none, and neither is what answers otherwise, as a package by the public listener does.
        match greeted.await {
            Ok((StatusCode::OK, said)) if said == ALIVE => Ok(gateway),
            Ok(_) | Err(CallError::Broken(_)) => Err(self.no_gateway()),
            Err(other) => Err(other),
        }
    }

    async fn exchange(
        &self,
        gateway: &mut SendRequest<Full<Bytes>>,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), CallError> {
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
        gateway.ready().await.map_err(broken)?;
        let response = gateway.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect();
        Ok((status, body.await.map_err(broken)?.to_bytes()))
    }

    fn no_gateway(&self) -> CallError {
        CallError::NoGateway {
            address: self.address.clone(),
        }
    }
}

/// Bounds the time of one step of a call.
async fn within<T>(
    patience: Duration,
    step: impl Future<Output = Result<T, CallError>>,
    late: CallError,
) -> Result<T, CallError> {
    timeout(patience, step).await.unwrap_or(Err(late))
}

fn broken(error: impl ToString) -> CallError {
    CallError::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn who_says_nothing_is_not_waited_for_as_an_order_is() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let client = Client {
            patience: Patience {
                greeting: Duration::from_millis(10),
                ..Patience::default()
            },
            ..Client::new(&*address, None)
        };
        let calls: [Result<serde_json::Value, _>; 2] = [
            client.get("/status").await,
            client.post("/reload", &serde_json::json!({})).await,
        ];
        for ended in calls {
            let error = ended.unwrap_err();
            assert!(matches!(error, CallError::Silent { .. }), "{error}");
            let told = error.to_string();
            assert!(
                told.contains(&address) && told.contains("--admin"),
                "{told}"
            );
        }
    }
}
