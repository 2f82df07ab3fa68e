//! Dapr's building blocks as packages reach them: who calls, what they may, and how the runtime calls them back.
//!
//! The runtime itself is `wasmgate-dapr`, which knows nothing of Wasm; here it meets packages.

mod caller;
mod channel;
mod internal;

use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use wasmgate_dapr::{AppId, Body, Dapr, Grants};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::config::{Config, DaprConfig};
use crate::egress::Client;
use crate::gateway::Gateway;
use crate::identity::TRACEPARENT;

pub use caller::{Caller, CallerError};
pub use internal::{is_internal, remove_dapr_headers};

/// Where guests find the Dapr API, as Dapr's own SDKs expect it; the gateway answers there itself.
pub const ENDPOINT: &str = "http://localhost:3500";

/// The authorities that mean [`ENDPOINT`].
const AUTHORITIES: [&str; 2] = ["localhost:3500", "127.0.0.1:3500"];

/// The building blocks of one gateway. Cloning copies a pointer.
#[derive(Clone)]
pub struct Blocks {
    dapr: Dapr,
}

impl Blocks {
    /// Opens the runtime if the configuration has any use for it.
    ///
    /// # Errors
    /// When its data or its component files cannot be used.
    pub fn open(config: &Config) -> Result<Option<Self>, wasmgate_dapr::OpenError> {
        let dapr = &config.dapr;
        let used =
            dapr.listen.is_some() || config.packages.iter().any(|package| package.dapr.is_some());
        if !used {
            return Ok(None);
        }
        let settings = wasmgate_dapr::Settings {
            data: dapr.data.clone(),
            components: dapr.components.clone(),
            substitute: dapr.substitute,
            api_token: dapr
                .api_token
                .as_ref()
                .map(|token| token.reveal().to_owned()),
            environment: dapr.environment.reveal().clone(),
            namespace: dapr.environment.reveal().get("NAMESPACE").cloned(),
        };
        Ok(Some(Self {
            dapr: Dapr::open(settings)?,
        }))
    }

    /// Starts deliveries to the packages of `gateway`, on the Tokio runtime it is called in.
    pub async fn start(&self, gateway: &Arc<Gateway>, client: Client) {
        let callers = gateway.packages().iter().map(|package| &package.caller);
        let apps: Vec<_> = callers.filter_map(Caller::app).collect();
        let gateway: Weak<Gateway> = Arc::downgrade(gateway);
        self.dapr
            .start(Arc::new(channel::Packages::new(gateway, client)), apps)
            .await;
    }

    /// Whether every package has been asked for its subscriptions.
    pub fn is_ready(&self) -> bool {
        *self.dapr.readiness().borrow()
    }

    /// The API for ordinary processes, as `[dapr] listen` asks for it.
    ///
    /// # Errors
    /// Never for a configuration that was checked.
    pub fn router(&self, config: &DaprConfig) -> Result<axum::Router, wasmgate_dapr::AppIdError> {
        Ok(self
            .dapr
            .tcp_router(AppId::new(&config.app_id)?, Grants::all()))
    }

    /// Ends deliveries and waits for those under way.
    pub async fn stop(&self) {
        self.dapr.stop().await;
    }

    /// Answers a guest's call of the Dapr API.
    pub async fn call(&self, caller: &Caller, request: Request<WasiBody>) -> Response<WasiBody> {
        let response = self
            .dapr
            .call(&caller.id, &caller.grants, request.map(Body::new))
            .await;
        response.map(|body| body.map_err(broken).boxed_unsync())
    }
}

/// Whether a request of a guest is meant for the Dapr API.
pub fn is_dapr(uri: &Uri) -> bool {
    uri.authority()
        .is_some_and(|authority| AUTHORITIES.contains(&authority.as_str()))
}

/// The answer where there are no building blocks at all: as without any grant.
pub fn absent() -> Response<WasiBody> {
    let problem = r#"{"type":"urn:wasmgate:error:not-granted","title":"This package has no `dapr` table.","status":403}"#;
    let body = http_body_util::Full::new(Bytes::from_static(problem.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = http::StatusCode::FORBIDDEN;
    let content_type = HeaderValue::from_static("application/problem+json");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// Lets a guest's call go on with the trace of the request that caused it, unless the guest says otherwise.
pub fn continue_trace<B>(request: &mut Request<B>, trace: Option<&HeaderValue>) {
    if let Some(trace) = trace {
        request
            .headers_mut()
            .entry(TRACEPARENT)
            .or_insert_with(|| trace.clone());
    }
}

/// What a guest is told of a body that broke off.
fn broken(error: axum::Error) -> Error {
    Error::InternalError(Some(error.to_string()))
}
