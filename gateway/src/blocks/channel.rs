//! How the runtime reaches packages: as an instance of their own, with no route and no socket.

use std::{sync::Weak, time::Duration};

use http::Request;
use wasmgate_dapr::{AppChannel, AppId, Body, DeliverError, DeliverFuture, DeliveryKind, DeliveryResult};

use crate::{egress::Client, gateway::Gateway};

/// How much longer than an instance may live its answer is waited for: its deadline is noticed by a timer on a machine
/// that may be busy.
const AFTER_THE_DEADLINE: Duration = Duration::from_secs(5);

/// The packages of a gateway.
pub(super) struct Packages {
    gateway: Weak<Gateway>,
    client: Client,
}

impl Packages {
    /// `client` is what instances that handle a delivery send requests with.
    pub(super) fn new(gateway: Weak<Gateway>, client: Client) -> Self {
        Self { gateway, client }
    }
}

impl AppChannel for Packages {
    fn deliver(&self, app: &AppId, request: Request<Body>) -> DeliverFuture {
        let (gateway, client, app) = (self.gateway.upgrade(), self.client.clone(), app.clone());
        Box::pin(async move {
            match gateway {
                Some(gateway) => gateway.deliver(&app, request, &client).await,
                None => Err(DeliverError::Unavailable {
                    app,
                    reason: "the gateway has ended".to_owned(),
                }),
            }
        })
    }

    /// What the package's own limit allows: the instance meets its deadline first, and says so.
    fn patience(&self, app: &AppId) -> Duration {
        let gateway = self.gateway.upgrade();
        let package = gateway
            .as_ref()
            .and_then(|gateway| gateway.package(app.as_str()));
        let limit = package.map_or(Duration::ZERO, |package| package.config.limits.timeout);
        limit.saturating_add(AFTER_THE_DEADLINE)
    }

    fn settled(&self, app: &AppId, kind: DeliveryKind, result: DeliveryResult) {
        if let Some(gateway) = self.gateway.upgrade()
            && let Some(package) = gateway.package(app.as_str())
        {
            package.metrics().delivered(kind, result);
        }
    }
}
