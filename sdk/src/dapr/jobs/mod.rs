//! Jobs: something to be done later, once or again and again.

mod due;

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

use super::{Error, api::Api};
use crate::Method;
pub use due::DueJob;

/// A job of this app, from [`dapr::job`](crate::dapr::job). What is scheduled survives restarts;
/// when it is due it comes to [`Router::job`].
///
/// ```
/// # use std::time::Duration;
/// # use wasmgate_sdk::{Error, dapr};
/// # async fn f() -> Result<(), Error> {
/// // Once, half a minute from now.
/// dapr::job("time-out-7").due_in(Duration::from_secs(30)).data(&7).schedule().await?;
/// // Every night, with six fields: seconds first.
/// dapr::job("nightly").cron("0 30 3 * * *").overwrite().schedule().await?;
/// // No longer.
/// dapr::job("time-out-7").delete().await?;
/// # Ok(())
/// # }
/// # let dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(f()).unwrap();
/// # assert_eq!(dapr.job("nightly").unwrap()["schedule"], "0 30 3 * * *");
/// # assert_eq!(dapr.job("time-out-7"), None);
/// ```
#[derive(Debug)]
#[must_use = "nothing happens until it is scheduled"]
pub struct Job {
    name: Cow<'static, str>,
    spec: JobSpec,
    /// The first mistake, told when it is sent.
    mistake: Option<serde_json::Error>,
}

/// A job as Dapr keeps it, from [`Job::get`].
///
/// ```
/// # use wasmgate_sdk::{Error, dapr};
/// # async fn f() -> Result<(), Error> {
/// dapr::job("nightly").cron("@daily").data("report").schedule().await?;
/// let job = dapr::job("nightly").get().await?;
/// assert_eq!(job.schedule.as_deref(), Some("@daily"));
/// assert_eq!(job.data::<String>()?, "report");
/// # Ok(())
/// # }
/// # let _dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(f()).unwrap();
/// ```
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobSpec {
    /// The schedule: a cron of six fields, `@every 5s`, `@daily` and its like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The first time: RFC 3339, or a duration from when it was scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_time: Option<String>,
    /// The most runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<u32>,
    /// The end: RFC 3339, or a duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Always sent: a job without data, Dapr takes and never brings.
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "std::ops::Not::not", skip_deserializing)]
    overwrite: bool,
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    failure_policy: Option<FailurePolicy>,
}

/// The treatment of a job that fails; see [`Job::retries`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum FailurePolicy {
    Drop {},
    #[serde(rename_all = "camelCase")]
    Constant {
        interval: String,
        max_retries: u32,
    },
}

impl Job {
    pub(super) fn new(name: Cow<'static, str>) -> Self {
        Job {
            name,
            spec: JobSpec::default(),
            mistake: None,
        }
    }

    /// Sets the data that the job's handler gets.
    pub fn data(mut self, data: &(impl Serialize + ?Sized)) -> Self {
        match to_raw_value(data) {
            Ok(data) => self.spec.data = Some(data),
            Err(error) => self.mistake = Some(error),
        }
        self
    }

    /// Due after this long.
    pub fn due_in(self, delay: Duration) -> Self {
        self.due_at(text(delay))
    }

    /// Due at a moment (RFC 3339).
    pub fn due_at(mut self, moment: impl Into<String>) -> Self {
        self.spec.due_time = Some(moment.into());
        self
    }

    /// Due again and again, with this long between.
    pub fn every(self, period: Duration) -> Self {
        self.cron(format!("@every {}", text(period)))
    }

    /// Due at the times of a cron of six fields, seconds first, or `@hourly`, `@daily`, `@weekly`,
    /// `@monthly`, `@yearly`.
    pub fn cron(mut self, schedule: impl Into<String>) -> Self {
        self.spec.schedule = Some(schedule.into());
        self
    }

    /// Due this many times at most.
    pub fn repeats(mut self, times: u32) -> Self {
        self.spec.repeats = Some(times);
        self
    }

    /// Gone after this long, due or not.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.spec.ttl = Some(text(ttl));
        self
    }

    /// In place of a job of the same name, which is refused otherwise.
    pub fn overwrite(mut self) -> Self {
        self.spec.overwrite = true;
        self
    }

    /// Sets how often a run that fails is tried again, and after how long; 3 times after a second where
    /// nothing is said. Zero times: a run that fails is dropped.
    pub fn retries(mut self, times: u32, interval: Duration) -> Self {
        self.spec.failure_policy = Some(match times {
            0 => FailurePolicy::Drop {},
            max_retries => FailurePolicy::Constant {
                interval: seconds(interval),
                max_retries,
            },
        });
        self
    }

    /// Schedules it.
    pub async fn schedule(self) -> Result<(), Error> {
        if let Some(mistake) = self.mistake {
            return Err(mistake.into());
        }
        api(Method::POST, &self.name)
            .json(&self.spec)
            .send()
            .await?;
        Ok(())
    }

    /// The job as it is scheduled; [`Error::NotFound`] when there is none of the name.
    pub async fn get(&self) -> Result<JobSpec, Error> {
        Ok(api(Method::GET, &self.name).send().await?.json().await?)
    }

    /// Deletes the job, if there is one.
    pub async fn delete(&self) -> Result<(), Error> {
        match api(Method::DELETE, &self.name).send().await {
            Err(Error::NotFound { code, .. }) if code.starts_with("DAPR_SCHEDULER_") => Ok(()),
            result => result.map(drop),
        }
    }
}

impl JobSpec {
    /// The data it was scheduled with.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(due::read(
            self.data.as_deref().map_or("null", RawValue::get),
        )?)
    }
}

fn api(method: Method, name: &str) -> Api {
    Api::new(method, "/v1.0/jobs").segment(name)
}

/// A duration as protobuf's JSON has it.
fn seconds(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        nanos => {
            let text = format!("{}.{nanos:09}", duration.as_secs());
            format!("{}s", text.trim_end_matches('0'))
        }
    }
}

/// A duration as Go and Dapr read it.
fn text(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_without_data_is_sent_with_null() {
        let job = Job::new("j".into()).due_in(Duration::from_millis(1500));
        let sent = serde_json::to_string(&job.spec).unwrap();
        assert_eq!(sent, r#"{"dueTime":"1500ms","data":null}"#);
    }

    #[test]
    fn an_interval_is_written_as_seconds() {
        for (duration, text) in [(1000, "1s"), (500, "0.5s"), (61_250, "61.25s")] {
            assert_eq!(seconds(Duration::from_millis(duration)), text);
        }
    }
}
