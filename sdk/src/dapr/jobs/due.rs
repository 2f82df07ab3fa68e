//! Jobs that are due.

use std::rc::Rc;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    Method, Router,
    dapr::{
        IntoOutcome,
        delivery::{Accepted, Handler, Source},
    },
    percent,
};

/// A job that is due, to a handler of [`Router::job`].
///
/// ```
/// use wasmgate_sdk::{Router, dapr::jobs::DueJob};
///
/// let app = Router::new().job("remind-*", |job: DueJob<String>| {
///     println!("{}: {}", job.name, job.data);
/// });
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
pub struct DueJob<T> {
    /// The job's name.
    pub name: String,
    /// The data it was scheduled with; JSON null when there was none.
    pub data: T,
}

/// Jobs.
impl Router {
    /// Takes a job when it is due, on `POST /job/{name}`. A name that ends in `*` stands for all
    /// that begin so; the first route that fits wins. An error is tried again as
    /// [`Job::retries`] says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasmgate_sdk::{Error, Router, dapr::{self, jobs::DueJob}, testing};
    ///
    /// async fn time_out(job: DueJob<u32>) -> Result<(), Error> {
    ///     dapr::state("statestore").save(&format!("order-{}", job.data), &"REFUNDED").await?;
    ///     Ok(())
    /// }
    /// let app = Router::new().job("time-out-*", time_out);
    ///
    /// let dapr = testing::dapr();
    /// let job = dapr::job("time-out-7").due_in(Duration::from_secs(30)).data(&7);
    /// testing::block_on(job.schedule()).unwrap();
    /// assert_eq!(dapr.run_job(&app, "time-out-7").status(), 200);
    /// assert_eq!(dapr.state("statestore", "order-7").unwrap(), "REFUNDED");
    /// ```
    pub fn job<T, R, M>(self, name: &'static str, handler: impl Fn(DueJob<T>) -> R + 'static) -> Self
    where
        T: DeserializeOwned,
        R: IntoOutcome<M>,
    {
        let handler: Handler = Rc::new(move |delivered| {
            let name = delivered.name;
            let text = str::from_utf8(&delivered.body).unwrap_or_default().trim();
            let data = read(if text.is_empty() { "null" } else { text })
                .map_err(|error| crate::Error::new(422, format!("the data of job `{name}`: {error}")))?;
            Ok(handler(DueJob { name, data }).into_outcome())
        });
        self.deliver_to(Due { name, handler })
    }
}

struct Due {
    name: &'static str,
    handler: Handler,
}

impl Source for Due {
    fn accept(&self, method: &Method, path: &str) -> Option<Accepted> {
        let name = percent::decode(path.strip_prefix("/job/")?);
        let fits = match self.name.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == self.name,
        };
        (fits && *method == Method::POST).then(|| Accepted::Delivered(Rc::clone(&self.handler), name.into_owned()))
    }

    #[cfg(not(target_family = "wasm"))]
    fn path(&self) -> Option<String> {
        Some(format!("/job/{}", self.name))
    }
}

/// Reads data, also within the protobuf `Any` in which Dapr shows a job's JSON. Any other kind of `Any` is data.
pub(super) fn read<T: DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
    #[derive(Deserialize)]
    struct Any<'a> {
        #[serde(rename = "@type")]
        kind: &'a str,
        #[serde(borrow)]
        value: &'a RawValue,
    }
    match serde_json::from_str::<Any<'_>>(json) {
        Ok(any) if any.kind == "type.googleapis.com/google.protobuf.Value" => serde_json::from_str(any.value.get()),
        _ => serde_json::from_str(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_any_that_dapr_shows_is_taken_off() {
        let shown = r#"{"@type":"type.googleapis.com/google.protobuf.Value","value":{"a":1}}"#;
        assert_eq!(
            read::<serde_json::Value>(shown).unwrap(),
            serde_json::json!({"a": 1})
        );
        let own = r#"{"@type":"order","value":1}"#;
        assert_eq!(read::<serde_json::Value>(own).unwrap()["value"], 1);
    }
}
