//! A job as its app describes it.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;

use super::table::JobRow;
use crate::{
    error::ApiError,
    time::{Schedule, TimeError, parse_duration, parse_moment},
};

/// The body of `POST /v1.0/jobs/{name}`, and how a job is stored.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct JobSpec {
    /// Only the path may name a job.
    #[serde(skip_serializing)]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due_time: Option<String>,
    #[serde(deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    pub(crate) repeats: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<String>,
    /// As it was written, so that numbers keep their digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Box<RawValue>>,
    #[serde(skip_serializing)]
    pub(crate) overwrite: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure_policy: Option<FailurePolicy>,
}

/// The rule for an app that does not take the job.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FailurePolicy {
    /// It is not tried again.
    Drop {},
    /// It is tried again after a pause; without `maxRetries` for ever.
    Constant {
        /// A duration as protobuf writes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interval: Option<String>,
        #[serde(
            default,
            rename = "maxRetries",
            alias = "max_retries",
            deserialize_with = "number",
            skip_serializing_if = "Option::is_none"
        )]
        max_retries: Option<u32>,
    },
}

/// Dapr's failure policy where the job names none.
const DEFAULT_RETRIES: u32 = 3;
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// The code of a job that cannot be scheduled.
pub(crate) const FAILED: &str = "DAPR_SCHEDULER_SCHEDULE_JOB";

impl JobSpec {
    /// The times at which the job is due first and at which it ends, in milliseconds since 1970, by the rules of Dapr's
    /// scheduler.
    pub(crate) fn begin(&self, now: i64) -> Result<(i64, Option<i64>), ApiError> {
        if self.name.as_deref().is_some_and(|name| !name.is_empty()) {
            let message = "name the job in the path only; remove name from the body";
            return Err(ApiError::new(400, "DAPR_SCHEDULER_JOB_NAME", message));
        }
        if self.schedule.is_none() && self.due_time.is_none() {
            let message = "the job is never due; give a schedule or a dueTime";
            return Err(ApiError::new(400, "DAPR_SCHEDULER_SCHEDULE_EMPTY", message));
        }
        self.times(now)
            .map_err(|error| ApiError::new(400, FAILED, error.to_string()))
    }

    fn times(&self, now: i64) -> Result<(i64, Option<i64>), TimeError> {
        let schedule = self.schedule.as_deref().map(Schedule::of_job);
        let schedule = schedule.transpose()?;
        if schedule.is_none() && self.ttl.is_some() {
            return Err(TimeError::new(
                "a ttl ends a schedule",
                "give a schedule, or remove ttl",
            ));
        }
        match self.repeats {
            Some(0) => {
                return Err(TimeError::new(
                    "repeats must be 1 or more",
                    "remove it to repeat for ever",
                ));
            }
            Some(2..) if schedule.is_none() => {
                return Err(TimeError::new(
                    "only a schedule repeats",
                    "give one, or remove repeats",
                ));
            }
            _ => {}
        }
        if let Some(FailurePolicy::Constant {
            interval: Some(interval),
            ..
        }) = &self.failure_policy
        {
            proto_duration(interval)?;
        }
        let due_at = self.due_time.as_deref().map(|due| parse_moment(due, now));
        let due_at = due_at.transpose()?;
        // A ttl counts from the time the job is due first.
        let ttl = self.ttl.as_deref();
        let expires_at = ttl
            .map(|ttl| parse_moment(ttl, due_at.unwrap_or(now)))
            .transpose()?;
        if due_at
            .zip(expires_at)
            .is_some_and(|(due_at, expires_at)| due_at > expires_at)
        {
            return Err(TimeError::new(
                "the job ends before it is due",
                "give a later ttl",
            ));
        }
        let first = due_at.or_else(|| schedule?.next_after(now));
        let first = first.ok_or_else(|| {
            TimeError::new(
                "the schedule has no time within years",
                "give one that comes sooner",
            )
        })?;
        Ok((first, expires_at))
    }

    /// The time at which the job is due again after it has fired; none if it is done.
    pub(crate) fn next_after(&self, job: &JobRow, now: i64) -> Option<i64> {
        if self.repeats.is_some_and(|repeats| job.fired >= repeats) {
            return None;
        }
        // As it was accepted, perhaps by a version that took five fields.
        let schedule = Schedule::of_binding(self.schedule.as_deref()?).ok()?;
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

    /// The body for the app: the data as it was written.
    pub(crate) fn payload(&self) -> String {
        let data = self.data.as_deref();
        data.map_or("null", RawValue::get).to_owned()
    }

    /// The job as `GET /v1.0/jobs/{name}` shows it.
    pub(crate) fn shown(&self, name: &str) -> serde_json::Result<String> {
        let data = self.data.as_deref().map(|value| Any {
            kind: JSON_VALUE,
            value,
        });
        let default = FailurePolicy::Constant {
            interval: Some("1s".to_owned()),
            max_retries: Some(DEFAULT_RETRIES),
        };
        serde_json::to_string(&Shown {
            name,
            schedule: self.schedule.as_deref(),
            due_time: self.due_time.as_deref(),
            repeats: self.repeats,
            ttl: self.ttl.as_deref(),
            data,
            failure_policy: self.failure_policy.as_ref().unwrap_or(&default),
        })
    }
}

/// The protobuf type of any JSON value.
const JSON_VALUE: &str = "type.googleapis.com/google.protobuf.Value";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Any<'a>>,
    failure_policy: &'a FailurePolicy,
}

#[derive(Serialize)]
struct Any<'a> {
    #[serde(rename = "@type")]
    kind: &'a str,
    value: &'a RawValue,
}

/// A number, which protobuf's JSON also takes as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let written: Option<Box<RawValue>> = Option::deserialize(deserializer)?;
    let Some(written) = written else {
        return Ok(None);
    };
    let text = written.get().trim_matches('"');
    let number = text
        .parse()
        .or_else(|_| text.strip_suffix(".0").unwrap_or(text).parse());
    number
        .map(Some)
        .map_err(|_| de::Error::custom(format!("{text} is no number from 0 to {}", u32::MAX)))
}

/// A duration as protobuf's JSON has it: seconds, with up to nine digits after the point.
fn proto_duration(text: &str) -> Result<Duration, TimeError> {
    let seconds = text
        .strip_suffix('s')
        .filter(|number| number.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    let duration = seconds.and_then(|_| parse_duration(text).ok());
    duration.ok_or_else(|| {
        TimeError::new(
            format!("interval {text:?} is no number of seconds"),
            "write 10s or 0.5s",
        )
    })
}
