//! The structure of a Resiliency resource, and its meaning.

use std::{collections::HashMap, ops::RangeInclusive, sync::Arc, time::Duration};

use serde::Deserialize;
use wasmgate_common::{Code, Diagnostic};

use super::super::policy::Retry;
use crate::{back_off::BackOff, breaker::Template, subscription::rules::Condition, time::parse_duration};

/// The condition by which a circuit breaker opens unless it says so itself.
const TRIP: &str = "consecutiveFailures > 5";

/// The time that a circuit breaker stays open unless it says so itself.
const OPEN: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
pub(super) struct Raw {
    pub(super) spec: RawSpec,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct RawSpec {
    #[serde(default)]
    pub(super) policies: RawPolicies,
    #[serde(default)]
    pub(super) targets: RawTargets,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPolicies {
    pub(super) circuit_breakers: HashMap<String, RawBreaker>,
    pub(super) timeouts: HashMap<String, String>,
    pub(super) retries: HashMap<String, RawRetry>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawRetry {
    pub(super) policy: Option<String>,
    pub(super) duration: Option<String>,
    pub(super) max_interval: Option<String>,
    pub(super) max_retries: Option<i64>,
    pub(super) matching: RawMatching,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawMatching {
    pub(super) http_status_codes: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawBreaker {
    pub(super) max_requests: Option<u32>,
    pub(super) interval: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) trip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTargets {
    pub(super) apps: HashMap<String, RawTarget>,
    pub(super) components: HashMap<String, RawComponentTarget>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawComponentTarget {
    pub(super) inbound: RawTarget,
    pub(super) outbound: RawTarget,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawTarget {
    pub(super) timeout: Option<String>,
    pub(super) retry: Option<String>,
    pub(super) circuit_breaker: Option<String>,
    pub(super) circuit_breaker_cache_size: Option<usize>,
}

impl RawBreaker {
    /// Dapr's defaults: one request while half-open, counts that never begin anew, open for 60 s after more than five
    /// failures in a row.
    pub(super) fn template(&self, name: &str) -> Result<Template, (&'static str, Diagnostic)> {
        let duration = |key, text: &Option<String>, default| match text {
            Some(text) => parse_duration(text).map_err(|error| (key, Diagnostic::from(error))),
            None => Ok(default),
        };
        let trip = Condition::new(self.trip.as_deref().unwrap_or(TRIP));
        Ok(Template {
            name: name.to_owned(),
            max_requests: self.max_requests.unwrap_or(1).max(1),
            interval: duration("interval", &self.interval, Duration::ZERO)?,
            timeout: Some(duration("timeout", &self.timeout, OPEN)?)
                .filter(|timeout| !timeout.is_zero())
                .unwrap_or(OPEN),
            trip: trip.map_err(|wrong| {
                let help = "write a condition over requests, totalSuccesses, totalFailures, consecutiveSuccesses and \
                            consecutiveFailures";
                ("trip", Diagnostic::new(Code::InvalidValue, wrong, help))
            })?,
        })
    }
}

impl RawMatching {
    fn statuses(&self) -> Result<Option<Arc<[RangeInclusive<u16>]>>, Diagnostic> {
        let Some(text) = self
            .http_status_codes
            .as_deref()
            .filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let status = |text: &str| {
            text.trim()
                .parse()
                .ok()
                .filter(|status| (100..600).contains(status))
        };
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let range = status(first)?..=status(last)?;
            (!range.is_empty()).then_some(range)
        };
        let parts = text.split(',').filter(|part| !part.is_empty());
        let ranges: Option<Vec<_>> = parts.map(range).collect();
        let ranges = ranges.ok_or_else(|| {
            let message = format!("{text:?} is no list of statuses");
            Diagnostic::new(
                Code::InvalidValue,
                message,
                "write statuses and ranges: 429,500-599",
            )
        })?;
        Ok(Some(ranges.into()))
    }
}

impl RawRetry {
    pub(super) fn retry(&self) -> Result<Retry, Diagnostic> {
        Ok(Retry {
            back_off: self.back_off()?,
            statuses: self.matching.statuses()?,
        })
    }

    /// Dapr's defaults: constant, 5 s; exponential from 500 ms by 1.5 up to 60 s; for ever.
    fn back_off(&self) -> Result<BackOff, Diagnostic> {
        let duration = |text: &Option<String>, default| match text {
            Some(text) => parse_duration(text).map_err(Diagnostic::from),
            None => Ok(default),
        };
        let max_retries = match self.max_retries {
            None | Some(..0) => None,
            Some(most) => Some(u32::try_from(most).unwrap_or(u32::MAX)),
        };
        match self.policy.as_deref() {
            None | Some("constant") => {
                let pause = duration(&self.duration, Duration::from_secs(5))?;
                Ok(BackOff {
                    first: pause,
                    factor: 1.0,
                    longest: pause,
                    max_retries,
                })
            }
            Some("exponential") => Ok(BackOff {
                first: duration(&self.duration, Duration::from_millis(500))?,
                factor: 1.5,
                longest: duration(&self.max_interval, Duration::from_secs(60))?,
                max_retries,
            }),
            Some(other) => {
                let message = format!("there is no policy {other:?}");
                Err(Diagnostic::new(
                    Code::UnknownName,
                    message,
                    "write constant or exponential",
                ))
            }
        }
    }
}
