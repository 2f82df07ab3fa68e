//! `POST /reload`, and the state of reloads for `/readyz`, `/status` and metrics.

use std::{
    sync::{Arc, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use wasmgate_common::Diagnostics;

use super::{Status, guard::Allowed, ready::Condition};
use crate::{account::Account, gateway::Gateway, metrics::Family};

/// A request for a reload, with the channel for its result.
pub(crate) type Wish = oneshot::Sender<Result<Reloaded, NotReloaded>>;

/// What a reload has changed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reloaded {
    /// New packages.
    pub(crate) added: Vec<String>,
    /// Packages with another component or another configuration.
    pub(crate) changed: Vec<String>,
    /// Removed packages.
    pub(crate) removed: Vec<String>,
    /// Packages that are served now.
    pub(crate) packages: usize,
    /// Routes that are served now.
    pub(crate) routes: usize,
    /// Changed keys that need a restart, and topics that a sidecar will only subscribe to after its restart.
    pub(crate) needs_restart: Vec<String>,
    /// The time from the request for the reload until it was served.
    pub(crate) milliseconds: u64,
}

/// Why a reload changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NotReloaded {
    /// The configuration or its packages have mistakes.
    #[error("{0}")]
    Wrong(Diagnostics),
    /// The machine refused a resource.
    #[error("{0}")]
    Machine(String),
    /// The gateway is starting.
    #[error("the gateway is starting and reads its configuration; try again")]
    Starting,
    /// The gateway is draining.
    #[error("the gateway drains and will end; its next start reads the configuration")]
    Draining,
}

impl NotReloaded {
    /// Its label in metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Wrong(_) => "rejected",
            Self::Machine(_) => "failed",
            Self::Starting | Self::Draining => "refused",
        }
    }
}

impl IntoResponse for NotReloaded {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Wrong(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Machine(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Starting | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mistakes = match &self {
            Self::Wrong(found) => found.as_slice(),
            _ => &[],
        };
        let mistakes: Vec<_> = mistakes
            .iter()
            .map(|one| json!({"code": one.code.to_string(), "place": one.place.to_string(), "message": one.message, "help": one.help}))
            .collect();
        let problem = json!({
            "type": format!("urn:wasmgate:error:reload-{}", self.reason()),
            "title": "the configuration was not reloaded; what was served is served still",
            "status": status.as_u16(), "message": self.to_string(), "mistakes": mistakes,
        });
        let kind = [("content-type", "application/problem+json")];
        (status, kind, problem.to_string()).into_response()
    }
}

/// The history of a gateway's reloads.
#[derive(Default)]
pub(super) struct Reloads {
    wishes: Mutex<Option<mpsc::UnboundedSender<Wish>>>,
    last: Mutex<Last>,
    replaced: Mutex<Replaced>,
}

/// What was replaced and is still used by requests in flight.
#[derive(Default)]
struct Replaced {
    gateways: Vec<Weak<Gateway>>,
    accounts: Vec<Weak<Account>>,
}

#[derive(Default, Clone)]
struct Last {
    served_since: Option<SystemTime>,
    tried: Option<SystemTime>,
    reloaded: Option<Reloaded>,
    error: Option<Arc<str>>,
}

/// The last reloads for `/status`.
#[derive(Serialize)]
pub(super) struct Told {
    /// The Unix time at which the current configuration was applied.
    served_since: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_try: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Reloaded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Status {
    /// Sets the receiver of requests for reloads.
    pub(crate) fn take_wishes(&self, wishes: mpsc::UnboundedSender<Wish>) {
        *self.0.reloads.wishes.lock() = Some(wishes);
        self.0.reloads.last.lock().served_since = Some(SystemTime::now());
    }

    /// Requests a reload and waits for its result.
    pub(crate) async fn reload(&self) -> Result<Reloaded, NotReloaded> {
        if self.is_draining() {
            return Err(NotReloaded::Draining);
        }
        let wishes = self.0.reloads.wishes.lock().clone();
        let (wish, end) = oneshot::channel();
        let sent = wishes.map(|wishes| wishes.send(wish));
        if !matches!(sent, Some(Ok(()))) {
            return Err(NotReloaded::Starting);
        }
        end.await.unwrap_or(Err(NotReloaded::Draining))
    }

    /// Records that a gateway was replaced by another.
    pub(crate) fn replaced(&self, before: &Arc<Gateway>, now: &Gateway) {
        let is_gone = |account: &&Arc<Account>| {
            let mut stay = now.packages().iter();
            !stay.any(|package| Arc::ptr_eq(&package.account, account))
        };
        let accounts = before.packages().iter().map(|package| &package.account);
        let mut replaced = self.0.reloads.replaced.lock();
        replaced.forget_what_is_gone();
        replaced
            .accounts
            .extend(accounts.filter(is_gone).map(Arc::downgrade));
        replaced.gateways.push(Arc::downgrade(before));
    }

    /// Records the result of a reload.
    pub(crate) fn reloaded(&self, end: &Result<Reloaded, NotReloaded>) {
        let now = SystemTime::now();
        let mut last = self.0.reloads.last.lock();
        last.tried = Some(now);
        match end {
            Ok(reloaded) => {
                self.0.metrics.reloaded("done");
                last.served_since = Some(now);
                last.reloaded = Some(reloaded.clone());
                last.error = None;
            }
            Err(error) => {
                self.0.metrics.reloaded(error.reason());
                last.error = Some(error.to_string().into());
            }
        }
    }

    /// The conditions of the last reload.
    pub(super) fn reload_conditions(&self) -> Vec<Condition> {
        let last = self.0.reloads.last.lock().clone();
        let failed = last.error.map(|error| Condition {
            reason: "reload-failed",
            package: None,
            detail: format!("the configuration before is served, since the new one was not taken: {error}"),
            unready: false,
        });
        let restart = last.reloaded.filter(|last| !last.needs_restart.is_empty());
        let restart = restart.map(|last| Condition {
            reason: "restart-needed",
            package: None,
            detail: format!(
                "{} hold from the next start on",
                last.needs_restart.join(", ")
            ),
            unready: false,
        });
        failed.into_iter().chain(restart).collect()
    }

    /// The last reload for `/status`.
    pub(super) fn told(&self) -> Told {
        let last = self.0.reloads.last.lock().clone();
        Told {
            served_since: seconds(last.served_since),
            last_try: last.tried.map(|at| seconds(Some(at))),
            last: last.reloaded,
            error: last.error.map(|error| error.to_string()),
        }
    }

    /// The metrics of reloads.
    pub(super) fn reload_metrics(&self) -> [Family; 3] {
        let (at, is_taken) = {
            let last = self.0.reloads.last.lock();
            (last.served_since, last.error.is_none())
        };
        let successful = Family::gauge(
            "wasmgate_last_reload_successful",
            "0 while an older configuration is served because the last reload failed, otherwise 1",
        );
        let served_since = Family::gauge(
            "wasmgate_configuration_timestamp_seconds",
            "When the current configuration was applied, as a Unix time",
        );
        let mut replaced = self.0.reloads.replaced.lock();
        replaced.forget_what_is_gone();
        let in_use = Family::gauge(
            "wasmgate_replaced_in_use",
            "Configurations and packages that a reload has replaced and that requests in flight still use",
        );
        [
            served_since.with(&[], seconds(at) as f64),
            successful.with(&[], f64::from(u8::from(is_taken))),
            in_use
                .with(&[("kind", "configuration")], replaced.gateways.len() as f64)
                .with(&[("kind", "package")], replaced.accounts.len() as f64),
        ]
    }
}

impl Replaced {
    fn forget_what_is_gone(&mut self) {
        self.gateways.retain(|gateway| gateway.strong_count() > 0);
        self.accounts.retain(|account| account.strong_count() > 0);
    }
}

fn seconds(at: Option<SystemTime>) -> u64 {
    let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

pub(super) async fn reload(State(status): State<Status>, _: Allowed) -> Response {
    match status.reload().await {
        Ok(reloaded) => Json(reloaded).into_response(),
        Err(error) => error.into_response(),
    }
}
