//! Service invocation: one app calls another.

mod answer;
mod depth;
mod request;

use std::{future::Future, sync::Arc, time::Duration};

pub(crate) use answer::{answered, invoked};
use axum::body::Body;
pub(crate) use depth::of_invocation;
pub use depth::{DEPTH, InvocationDepth};
use http::{Request, Response, request::Parts};
use http_body::Body as _;
pub(crate) use request::{callee, outgoing, passed_on};
use tokio::time::{sleep, timeout};

use crate::{
    app::{AppId, Apps, DeliverError},
    back_off::BackOff,
    components::Components,
    error::{ApiError, ApiResult},
    protocol::message::{MAX_BODY, bytes},
};

const FAILED: &str = "ERR_DIRECT_INVOKE";

/// The namespace that apps are in where none is set, as in Dapr.
const NAMESPACE: &str = "default";

/// The building block.
pub(crate) struct Invocation {
    apps: Arc<Apps>,
    components: Arc<Components>,
    namespace: String,
}

impl Invocation {
    pub(crate) fn new(apps: Arc<Apps>, components: Arc<Components>, namespace: Option<&str>) -> Self {
        let namespace = namespace.unwrap_or(NAMESPACE).to_owned();
        Self {
            apps,
            components,
            namespace,
        }
    }

    /// Hands a call of `caller` to the app it names, and its answer back; `method` is the callee's path, written anew.
    pub(crate) async fn invoke(&self, caller: &AppId, parts: &Parts, body: Body, app: &str, method: &str) -> ApiResult {
        // `app.namespace` is the sidecar's way to name a namespace; there is only one here.
        let plain = app
            .strip_suffix(&self.namespace)
            .and_then(|app| app.strip_suffix('.'));
        let callee = callee(plain.unwrap_or(app))?;
        let policy = self.components.resiliency.app(caller, callee.as_str());
        let request = outgoing(parts, body, caller, &callee, method)?;
        let apps = &self.apps;
        let answer = match policy.retry {
            Some(back_off) if is_small(&request) => retried(apps, &callee, request, policy.timeout, back_off).await?,
            _ => within(policy.timeout, &callee, apps.deliver(&callee, request)).await,
        };
        invoked(answer).await
    }
}

/// True for a request that can be kept and sent again; one that streams is sent once.
fn is_small(request: &Request<Body>) -> bool {
    request
        .body()
        .size_hint()
        .upper()
        .is_some_and(|size| size <= MAX_BODY as u64)
}

/// Calls again while the callee cannot be reached. What it has answered stands.
async fn retried(
    apps: &Apps,
    callee: &AppId,
    request: Request<Body>,
    timeout: Option<Duration>,
    back_off: BackOff,
) -> Result<Result<Response<Body>, DeliverError>, ApiError> {
    let (parts, body) = request.into_parts();
    let body = bytes(body).await?;
    for retry in 0.. {
        let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
        let answer = within(timeout, callee, apps.deliver(callee, request)).await;
        match (&answer, back_off.pause(retry)) {
            (Err(DeliverError::Unavailable { .. }), Some(pause)) => sleep(pause).await,
            _ => return Ok(answer),
        }
    }
    Err(ApiError::new(500, FAILED, "the retries are used up"))
}

async fn within(
    limit: Option<Duration>,
    callee: &AppId,
    delivery: impl Future<Output = Result<Response<Body>, DeliverError>>,
) -> Result<Response<Body>, DeliverError> {
    let Some(limit) = limit else {
        return delivery.await;
    };
    timeout(limit, delivery).await.unwrap_or_else(|_| {
        let reason = format!("no answer within {limit:?}");
        Err(DeliverError::Unavailable {
            app: callee.clone(),
            reason,
        })
    })
}
