//! Reads a registry's responses within limits of size and time.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{
    error::RegistryError,
    transport::{Transport, chain, odd},
};

/// The maximum of an error's body that is read, and of its message that is shown.
const MAX_PROBLEM: (usize, usize) = (64 << 10, 300);

/// The maximum of `retry-after`.
const MAX_WAIT: Duration = Duration::from_secs(30);

impl Transport<'_> {
    /// The whole body of a response that is expected to be small.
    ///
    /// # Errors
    /// When it is larger, or breaks off.
    pub(super) async fn small(
        &self,
        answer: Response<Incoming>,
        host: &str,
        what: &str,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let body = timeout(
            self.patience().body,
            Limited::new(answer.into_body(), most).collect(),
        )
        .await;
        let unreachable = |error: String| RegistryError::Unreachable {
            host: host.to_owned(),
            error,
        };
        match body {
            Err(_) => Err(unreachable(format!(
                "{what} did not come within {:?}",
                self.patience().body
            ))),
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(RegistryError::TooLarge {
                what: what.to_owned(),
                bytes: limit + 1,
                limit,
            }),
            Ok(Err(error)) => Err(unreachable(chain(&*error))),
        }
    }

    /// The error of a response without success; `what` names what is missing for 404.
    pub(super) async fn success(
        &self,
        answer: Response<Incoming>,
        host: &str,
        what: &str,
    ) -> Result<Response<Incoming>, RegistryError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        if status == StatusCode::NOT_FOUND {
            return Err(RegistryError::NotFound {
                host: host.to_owned(),
                what: what.to_owned(),
            });
        }
        let is_passing = status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            );
        let after = wait(answer.headers());
        let detail = self.problem(answer).await;
        Err(if is_passing {
            RegistryError::Busy {
                host: host.to_owned(),
                status: status.as_u16(),
                detail,
                after,
            }
        } else {
            odd(
                host,
                format!("it answered {} for {what}{detail}", status.as_u16()),
            )
        })
    }

    /// A registry's error message (OCI distribution, "Error codes"), after a colon.
    pub(super) async fn problem(&self, answer: Response<Incoming>) -> String {
        let (most, shown) = MAX_PROBLEM;
        let body = timeout(
            self.patience().body,
            Limited::new(answer.into_body(), most).collect(),
        )
        .await;
        let Ok(Ok(body)) = body else {
            return String::new();
        };
        let problem: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        let first = problem.get("errors").and_then(|errors| errors.get(0));
        let text = |key: &str| Some(first?.get(key)?.as_str()?.to_owned());
        let words = text("message")
            .filter(|words| !words.is_empty())
            .or_else(|| text("code"));
        words.map_or_else(String::new, |words| {
            let plain = words.chars().filter(|c| !c.is_control()).take(shown);
            format!(": {}", plain.collect::<String>())
        })
    }
}

/// The time of `retry-after`, in seconds or as a date.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(SystemTime::now())
            .unwrap_or_default(),
    };
    Some(wait.min(MAX_WAIT))
}
