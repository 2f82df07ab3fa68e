//! `AppChannel`: how the building blocks call packages, each call in an instance of its own, without a route or a
//! socket.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use wasmgate_dapr::{AppChannel, AppId, Body, DeliverError, DeliverFuture, DeliveryKind, DeliveryResult};

use crate::{
    account::Account,
    egress::{self, Client},
    error::Failure,
    gateway::{Gateway, WeakCurrent},
    request_headers::{self, RequestId},
};

/// The time for which an answer is waited for beyond the life of its instance: its deadline is noticed by a timer on a
/// machine that may be busy.
const AFTER_THE_DEADLINE: Duration = Duration::from_secs(5);

/// Says that a request is an invocation by another app, which may not do what the building blocks do.
const CALLER: &str = "dapr-caller-app-id";

/// The packages of a gateway.
pub(super) struct Packages {
    gateway: WeakCurrent,
    client: Client,
}

impl Packages {
    /// `client` is what instances that handle a delivery send requests with.
    pub(super) fn new(gateway: WeakCurrent, client: Client) -> Self {
        Self { gateway, client }
    }

    fn account(&self, app: &AppId) -> Option<Arc<Account>> {
        let gateway = self.gateway.load_called()?;
        Some(Arc::clone(&gateway.package(app)?.account))
    }
}

impl AppChannel for Packages {
    fn deliver(&self, app: &AppId, request: Request<Body>) -> DeliverFuture {
        let (gateway, client, app) = (self.gateway.load_called(), self.client.clone(), app.clone());
        Box::pin(async move {
            match gateway {
                Some(gateway) => deliver(&gateway, &app, request, &client).await,
                None => Err(DeliverError::Unavailable {
                    app,
                    reason: "the gateway has ended".to_owned(),
                }),
            }
        })
    }

    /// As long as the package's own limits allow: the instance meets its deadline first, and says so.
    fn patience(&self, app: &AppId) -> Duration {
        let account = self.account(app);
        let limits = account.map(|account| account.config.limits);
        let limit = limits.map_or(Duration::ZERO, |limits| {
            limits.queue_timeout.saturating_add(limits.timeout)
        });
        limit.saturating_add(AFTER_THE_DEADLINE)
    }

    fn settled(&self, app: &AppId, kind: DeliveryKind, result: DeliveryResult) {
        if let Some(account) = self.account(app) {
            account.metrics().delivered(kind, result);
        }
    }
}

/// Hands a request of the building blocks to the package that is `app`.
async fn deliver(
    gateway: &Gateway,
    app: &AppId,
    mut request: Request<Body>,
    client: &Client,
) -> Result<Response<Body>, DeliverError> {
    let package = gateway
        .package(app)
        .ok_or_else(|| DeliverError::NoSuchApp(app.clone()))?;
    let id = RequestId::from_headers(request.headers());
    let is_head = request.method() == Method::HEAD;
    let is_invoked = request.headers().contains_key(CALLER);
    if is_invoked && gateway.is_internal(&package.account, request.uri().path()) {
        return Ok(Failure::NoRoute
            .answer(is_head, id.as_str())
            .map(Body::from));
    }
    request_headers::stamp_delivery(request.headers_mut(), &id, app.as_str());
    let request = request.map(|body| body.map_err(egress::broken));
    match gateway.dispatch(package, request, &id, client, None).await {
        Ok(response) => Ok(response.map(Body::new)),
        Err(failure) if failure.passes() => Err(DeliverError::Unavailable {
            app: app.clone(),
            reason: failure.reason().to_owned(),
        }),
        Err(failure) => Ok(failure.answer(is_head, id.as_str()).map(Body::from)),
    }
}
