//! Service invocation: one app calls another.

mod answer;
mod depth;
mod request;

use std::sync::Arc;

pub(crate) use answer::{answered, invoked};
use axum::body::{Body, Bytes};
pub(crate) use depth::of_invocation;
pub use depth::{DEPTH, InvocationDepth};
use http::{Request, Response, request::Parts};
use http_body::Body as _;
pub(crate) use request::{callee, outgoing, passed_on};

use crate::{
    app::{AppId, Apps, DeliverError},
    components::{Current, Policy, Try},
    error::{ApiError, ApiResult},
    protocol::message::{MAX_BODY, bytes},
};

const FAILED: &str = "ERR_DIRECT_INVOKE";

/// The namespace that apps are in where none is set, as in Dapr.
const NAMESPACE: &str = "default";

/// The building block.
pub(crate) struct Invocation {
    apps: Arc<Apps>,
    components: Current,
    namespace: String,
}

impl Invocation {
    pub(crate) fn new(apps: Arc<Apps>, components: Current, namespace: Option<&str>) -> Self {
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
        let policy = self
            .components
            .load()
            .resiliency
            .app(caller, callee.as_str());
        let request = outgoing(parts, body, caller, &callee, method)?;
        if policy.is_none() {
            return invoked(self.apps.deliver(&callee, request).await).await;
        }
        self.under(&policy, caller, &callee, request).await
    }

    /// Calls `callee` under a policy: each path has a circuit of its own, and what can be sent again is tried again.
    async fn under(&self, policy: &Policy, caller: &AppId, callee: &AppId, request: Request<Body>) -> ApiResult {
        let path = request.uri().path();
        let target = format!("{callee}:{}", path.strip_prefix('/').unwrap_or(path));
        let is_small = is_small(&request);
        let (parts, body) = request.into_parts();
        let (mut streamed, kept) = match is_small {
            true => (None, bytes(body).await?),
            false => (Some(body), Bytes::new()),
        };
        let attempt = || {
            let body = streamed.take().unwrap_or_else(|| Body::from(kept.clone()));
            self.apps
                .deliver(callee, Request::from_parts(parts.clone(), body))
        };
        let again = |failed: bool| match failed && is_small {
            true => Try::Failed,
            false => Try::FailedForGood,
        };
        let judge = |answer: &Result<Response<Body>, DeliverError>| match answer {
            Ok(response) if matches!(response.status().as_u16(), 200..=399) => Try::Succeeded,
            Ok(response) => again(
                policy
                    .retry
                    .as_ref()
                    .is_some_and(|retry| retry.covers(response.status().as_u16())),
            ),
            Err(DeliverError::NoSuchApp(_)) => Try::FailedForGood,
            Err(DeliverError::Unavailable { .. }) => again(true),
        };
        let policy = match is_small {
            true => policy.clone(),
            // A stream that was sent is gone.
            false => Policy {
                retry: None,
                ..policy.clone()
            },
        };
        match policy.run((caller, &target), attempt, judge).await {
            Ok(answer) => invoked(answer).await,
            Err(stopped) => {
                let message = format!("failed to invoke, id: {callee}, err: {stopped}");
                Err(ApiError::new(500, FAILED, message))
            }
        }
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
