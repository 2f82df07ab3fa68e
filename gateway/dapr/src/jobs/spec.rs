//! A job as its app describes it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    api::or_default,
    store::jobs::JobRow,
    time::{Schedule, TimeError, parse_duration, parse_moment},
};

/// The body of `POST /v1.0/jobs/{name}`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct JobSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeats: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Value>,
    #[serde(skip_serializing, deserialize_with = "or_default")]
    pub(crate) overwrite: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure_policy: Option<FailurePolicy>,
}

/// What happens when the app does not take the job.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FailurePolicy {
    /// It is not tried again.
    Drop {},
    /// It is tried again after a pause; without `maxRetries` for ever.
    Constant {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interval: Option<String>,
        #[serde(
            default,
            rename = "maxRetries",
            skip_serializing_if = "Option::is_none"
        )]
        max_retries: Option<u32>,
    },
}

/// Dapr's failure policy where the job names none.
const DEFAULT_RETRIES: u32 = 3;
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

impl JobSpec {
    /// When the job is due first and when it ends, in milliseconds since 1970.
    pub(crate) fn begin(&self, now: i64) -> Result<(i64, Option<i64>), TimeError> {
        let schedule: Option<Schedule> = self.schedule.as_deref().map(str::parse).transpose()?;
        if let Some(FailurePolicy::Constant {
            interval: Some(interval),
            ..
        }) = &self.failure_policy
        {
            parse_duration(interval)?;
        }
        let expires_at = self
            .ttl
            .as_deref()
            .map(|ttl| parse_moment(ttl, now))
            .transpose()?;
        let due_at = match (&self.due_time, schedule) {
            (Some(due), _) => Some(parse_moment(due, now)?),
            (None, Some(schedule)) => schedule.next_after(now),
            (None, None) => None,
        };
        let Some(due_at) = due_at else {
            return Err(TimeError::new(
                "the job is never due; give a schedule or a dueTime",
            ));
        };
        Ok((due_at, expires_at))
    }

    /// When the job is due again after it has fired; none if it is done.
    pub(crate) fn next_after(&self, job: &JobRow, now: i64) -> Option<i64> {
        if self.repeats.is_some_and(|repeats| job.fired >= repeats) {
            return None;
        }
        let schedule: Schedule = self.schedule.as_deref()?.parse().ok()?;
        let next = schedule.next_after(job.due_at)?;
        if next > now {
            Some(next)
        } else {
            schedule.next_after(now)
        }
    }

    /// The pause before retry number `retry` (from 0); none if there is to be none.
    pub(crate) fn retry_pause(&self, retry: u32) -> Option<Duration> {
        let (interval, most) = match &self.failure_policy {
            Some(FailurePolicy::Drop {}) => return None,
            Some(FailurePolicy::Constant {
                interval,
                max_retries,
            }) => {
                let interval = interval
                    .as_deref()
                    .and_then(|text| parse_duration(text).ok());
                (interval.unwrap_or(DEFAULT_INTERVAL), *max_retries)
            }
            None => (DEFAULT_INTERVAL, Some(DEFAULT_RETRIES)),
        };
        most.is_none_or(|most| retry < most).then_some(interval)
    }

    /// What the app gets: the data's JSON, without the protobuf `Any` that some SDKs put around.
    pub(crate) fn payload(&self) -> String {
        let data = self.data.as_ref();
        let wrapped = data.and_then(|data| data.get("@type").and(data.get("value")));
        wrapped.or(data).map(Value::to_string).unwrap_or_default()
    }
}
