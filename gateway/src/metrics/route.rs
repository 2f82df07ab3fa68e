//! Metrics of one route.

use http::StatusCode;
use prometheus::{Histogram, IntCounterVec};

use super::few::Few;

/// Statuses that one route usually answers with; more are counted too, a little slower.
const USUAL_STATUSES: usize = 8;

/// The label of a status that no client should see.
const NO_STATUS: &str = "other";

/// The handles of one route.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    by_status: Few<StatusCode, USUAL_STATUSES>,
    requests: IntCounterVec,
    package: String,
    pattern: String,
    /// Seconds from the request's head to the end of the response.
    pub duration: Histogram,
}

impl RouteMetrics {
    pub(super) fn new(requests: IntCounterVec, duration: Histogram, package: &str, pattern: &str) -> Self {
        Self {
            by_status: Few::new(),
            requests,
            package: package.to_owned(),
            pattern: pattern.to_owned(),
            duration,
        }
    }

    /// The package that answers.
    pub(crate) fn package(&self) -> &str {
        &self.package
    }

    /// The route's path, as it is configured.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Counts one response.
    pub(crate) fn count(&self, status: StatusCode) {
        self.by_status.count(status, || {
            let label = match status.as_u16() {
                100..=599 => status.as_str(),
                _ => NO_STATUS,
            };
            let labels = [self.package.as_str(), self.pattern.as_str(), label];
            self.requests.with_label_values(&labels)
        });
    }
}
