//! `/readyz`: whether to send requests here, the reasons why not, and other problems.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::Status;
use crate::config::show_digest;

/// A condition that keeps the gateway from being ready, or that an operator should know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Condition {
    /// A stable name for it.
    pub reason: &'static str,
    /// The package that it concerns, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// A sentence for people.
    pub detail: String,
    /// Whether it makes the gateway unready.
    #[serde(skip)]
    pub unready: bool,
}

impl From<wasmgate_dapr::Condition> for Condition {
    fn from(found: wasmgate_dapr::Condition) -> Self {
        Self {
            reason: found.reason,
            package: found.app.map(|app| app.to_string()),
            detail: found.detail,
            unready: found.unready,
        }
    }
}

/// The answer in JSON.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    /// The conditions that keep it from being ready.
    reasons: Vec<Condition>,
    /// Other conditions that an operator should know of.
    details: Vec<Condition>,
}

/// Answers as text, or as JSON if requested.
pub(super) async fn answer(State(status): State<Status>, headers: HeaderMap) -> Response {
    let (reasons, details): (Vec<_>, Vec<_>) = conditions(&status)
        .into_iter()
        .partition(|condition| condition.unready);
    let ready = reasons.is_empty();
    let code = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let readiness = Readiness {
        ready,
        reasons,
        details,
    };
    if wants_json(&headers) {
        (code, Json(readiness)).into_response()
    } else {
        (code, text(&readiness)).into_response()
    }
}

/// All current conditions.
pub(super) fn conditions(status: &Status) -> Vec<Condition> {
    let about_all = |reason, detail: &str| Condition {
        reason,
        package: None,
        detail: detail.to_owned(),
        unready: true,
    };
    let Some(gateway) = status.gateway() else {
        if let Some(reason) = &*status.0.waiting.lock() {
            return vec![about_all("data-in-use", reason)];
        }
        let detail = "packages are being compiled and checked, or asked for their subscriptions";
        return vec![about_all("starting", detail)];
    };
    let mut conditions = Vec::new();
    if status.is_draining() {
        let detail = "the gateway was told to end and takes no new connections";
        conditions.push(about_all("draining", detail));
    }
    if let Some(blocks) = gateway.building_blocks() {
        conditions.extend(blocks.conditions().into_iter().map(Condition::from));
    }
    conditions.extend(status.reload_conditions());
    conditions.extend(status.certificate_conditions());
    let packages = gateway.packages().iter();
    conditions.extend(packages.filter_map(|package| {
        Some(Condition {
            reason: "package-unavailable",
            package: Some(package.name().to_string()),
            detail: package.unavailable()?,
            unready: false,
        })
    }));
    let registry = gateway.shared().loader.registry();
    let packages = gateway.packages().iter();
    conditions.extend(packages.filter_map(|package| {
        let pulled = package.registered.as_ref()?.pulled.as_ref()?;
        let trouble = registry.trouble(&pulled.reference)?;
        Some(Condition {
            reason: "registry-lookup-failed",
            package: Some(package.name().to_string()),
            detail: format!(
                "{} is served as it was pulled before ({}): {trouble}",
                pulled.reference,
                show_digest(&pulled.manifest)
            ),
            unready: false,
        })
    }));
    conditions
}

fn text(readiness: &Readiness) -> String {
    let mut text = String::from(if readiness.ready {
        "ok\n"
    } else {
        "not ready\n"
    });
    for condition in readiness.reasons.iter().chain(&readiness.details) {
        let package = condition.package.as_deref();
        let package = package.map_or_else(String::new, |name| format!(" {name}"));
        text.push_str(&format!(
            "{}{package}: {}\n",
            condition.reason, condition.detail
        ));
    }
    text
}

/// Returns whether the client prefers JSON: probes accept `*/*` and get text.
fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("application/json"))
}
