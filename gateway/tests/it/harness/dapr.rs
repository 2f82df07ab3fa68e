//! The Dapr API as packages see it, through the guests that relay calls and those that take deliveries.

use bytes::Bytes;
use serde_json::Value;

use super::{Reply, TestGateway, full, until};

impl TestGateway {
    /// Waits until the building blocks are ready: every package has told its subscriptions.
    pub(crate) async fn ready(&self) {
        until("a gateway that is ready", || async {
            self.admin_get("/readyz").await.status == 200
        })
        .await;
    }

    /// Has the package at `/PACKAGE` call the Dapr API, and returns the answer.
    pub(crate) async fn call(&self, package: &str, method: &str, path: &str, body: impl Into<Bytes>) -> Reply {
        self.call_with(package, method, path, &[], body).await
    }

    /// The same with headers that the package sends.
    pub(crate) async fn call_with(
        &self,
        package: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let mut request = self
            .request(method, &format!("/{package}"))
            .header("x-call", path);
        for (name, value) in headers {
            request = request.header(format!("x-send-{name}"), *value);
        }
        self.send(request.body(full(body)).unwrap()).await
    }

    /// Returns what a package that takes deliveries kept under an event's id or a path, if it was delivered.
    pub(crate) async fn delivered(&self, package: &str, id: &str) -> Option<Value> {
        let key = id.replace('/', "%2F");
        let path = format!("/v1.0/state/statestore/seen:{key}");
        let reply = self.call(package, "GET", &path, "").await;
        match reply.status.as_u16() {
            200 => Some(reply.json()),
            204 => None,
            _ => panic!("{}: {}", reply.status, reply.text()),
        }
    }

    /// Waits for a delivery.
    pub(crate) async fn delivery(&self, package: &str, id: &str) -> Value {
        until(&format!("{id} at {package}"), || async {
            self.delivered(package, id).await.is_some()
        })
        .await;
        self.delivered(package, id).await.unwrap()
    }
}

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Checks status and Dapr's code of a failure.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.json()["errorCode"], code, "{}", self.text());
    }

    /// Checks the status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}
