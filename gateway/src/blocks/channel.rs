//! How the runtime reaches packages: as an instance of their own, with no route and no socket.

use std::sync::Weak;

use http::Request;
use wasmgate_dapr::{AppChannel, AppId, Body, DeliverError, DeliverFuture};

use crate::egress::Client;
use crate::gateway::Gateway;

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
}
