//! The state of the public listener's certificate for `/readyz`, `/status` and metrics.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::{Status, ready::Condition};
use crate::{config::shown, metrics::Family};

/// The current certificate.
#[derive(Serialize)]
pub(super) struct Told {
    certificate: String,
    /// A Unix time, like all times here.
    not_after: u64,
    shown_since: u64,
    /// Why the current files are not used, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl Status {
    /// The certificate's status, if there is one.
    pub(super) fn certificate(&self) -> Option<Told> {
        let status = self.0.tls.as_ref()?.status();
        Some(Told {
            certificate: status.file,
            not_after: seconds(status.not_after),
            shown_since: seconds(status.since),
            refused: status.refused,
        })
    }

    /// Its conditions; none makes the gateway unready.
    pub(super) fn certificate_conditions(&self) -> Vec<Condition> {
        let Some(tls) = &self.0.tls else {
            return Vec::new();
        };
        let status = tls.status();
        let until = shown(status.not_after);
        let about = |reason, detail| Condition {
            reason,
            package: None,
            detail,
            unready: false,
        };
        let refused = status.refused.map(|reason| {
            let detail = format!("the one before is shown, which is valid until {until}: {reason}");
            about("certificate-refused", detail)
        });
        let expired = (status.not_after <= SystemTime::now()).then(|| {
            let detail = format!("the certificate in {} has expired on {until}", status.file);
            about("certificate-expired", detail)
        });
        refused.into_iter().chain(expired).collect()
    }

    /// Its metrics.
    pub(super) fn certificate_metrics(&self) -> Vec<Family> {
        let Some(tls) = &self.0.tls else {
            return Vec::new();
        };
        let status = tls.status();
        let (done, failed) = status.changes;
        vec![
            Family::gauge(
                "wasmgate_tls_certificate_expiry_timestamp_seconds",
                "Expiry of the current certificate, as a Unix time",
            )
            .with(&[], seconds(status.not_after) as f64),
            Family::counter(
                "wasmgate_tls_certificate_changes_total",
                "Changes of the certificate's files, by whether they were applied",
            )
            .with(&[("result", "done")], done as f64)
            .with(&[("result", "refused")], failed as f64),
        ]
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
