//! The connection to the sidecar.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{HeaderValue, Request, Uri, uri::PathAndQuery};
use http_body_util::{BodyExt, Limited};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;
use wasmgate_common::remove_hop_by_hop;

use super::settings::SidecarSettings;
use crate::{
    error::{ApiError, ApiResult},
    protocol::{API_TOKEN, message::MAX_BODY},
};

/// The time in which a connection must be made: the sidecar is on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest that a healthy sidecar needs for a question of the gateway's own.
const GET_TIMEOUT: Duration = Duration::from_secs(2);

/// A pooled client of the sidecar.
pub(super) struct Client {
    endpoint: Uri,
    api_token: Option<HeaderValue>,
    answer_timeout: Duration,
    http: HttpClient<HttpConnector, Body>,
}

impl Client {
    pub(super) fn new(settings: &SidecarSettings) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let http = HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        let token = settings.api_token.as_deref();
        Self {
            endpoint: settings.endpoint.clone(),
            api_token: token.and_then(|token| HeaderValue::from_str(token).ok()),
            answer_timeout: settings.answer_timeout,
            http,
        }
    }

    /// Sends a request to the sidecar.
    pub(super) async fn send(&self, request: Request<Body>) -> ApiResult {
        let answer = self.send_quietly(request).await;
        answer.inspect_err(|error| tracing::warn!(error = error.message(), "a call of the sidecar"))
    }

    /// Returns the body of a good answer, without a word in the log: for questions that are asked again and again.
    pub(super) async fn get(&self, path: &str) -> Option<Bytes> {
        let request = Request::get(path).body(Body::empty()).ok()?;
        let answer = async {
            let response = self.send_quietly(request).await.ok()?;
            let good = response.status().is_success();
            let body = collect(response.into_body()).await.ok()?;
            good.then_some(body)
        };
        timeout(GET_TIMEOUT, answer).await.ok().flatten()
    }

    async fn send_quietly(&self, mut request: Request<Body>) -> ApiResult {
        let mut target = self.endpoint.clone().into_parts();
        let path = request.uri().path_and_query().cloned();
        target.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        *request.uri_mut() = Uri::from_parts(target).map_err(|error| ApiError::malformed(error.to_string()))?;
        if let Some(token) = &self.api_token {
            request.headers_mut().insert(API_TOKEN, token.clone());
        }
        let limit = self.answer_timeout;
        match timeout(limit, self.http.request(request)).await {
            Ok(Ok(response)) => {
                let mut response = response.map(Body::new);
                remove_hop_by_hop(response.headers_mut());
                Ok(response)
            }
            Ok(Err(error)) => {
                let message = format!("the Dapr sidecar cannot be reached; try again: {error}");
                Err(ApiError::new(503, "ERR_SIDECAR_UNAVAILABLE", message).retry_after())
            }
            Err(_) => {
                let message = format!("the Dapr sidecar did not answer within {limit:?}");
                Err(ApiError::new(504, "ERR_SIDECAR_TIMEOUT", message))
            }
        }
    }
}

/// Collects an answer of the sidecar.
pub(super) async fn collect(body: Body) -> Result<Bytes, ApiError> {
    let body = Limited::new(body, 4 * MAX_BODY).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| {
        let message = format!("the Dapr sidecar's answer broke off: {error}");
        ApiError::new(502, "ERR_SIDECAR_ANSWER", message)
    })
}
