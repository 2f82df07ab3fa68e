//! An app's response to events, interpreted as the sidecar does it.

use std::collections::HashMap;

use http::StatusCode;
use serde::Deserialize;

/// The outcome of one delivery for one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken.
    Done,
    /// Not delivered, since its time to live has passed.
    Expired,
    /// Failed; to be tried again.
    Retry(String),
    /// Refused for good; to the dead-letter topic if there is one.
    Drop(String),
    /// No rule tells its way; it stays for an operator.
    Park(String),
    /// The app could not be reached, which is no failure of the app with this event.
    Unreachable(String),
}

/// An app's answer to a batch: a word for each event.
#[derive(Deserialize)]
pub(crate) struct BulkAnswer {
    statuses: Vec<BulkStatus>,
}

impl BulkAnswer {
    /// The words by event; the last of several counts.
    pub(super) fn into_words(self) -> HashMap<String, String> {
        let statuses = self.statuses.into_iter();
        statuses
            .map(|status| (status.entry_id, status.status))
            .collect()
    }

    /// The word for one event, if there is one.
    pub(crate) fn status(&self, entry: &str) -> Option<&str> {
        let mut statuses = self.statuses.iter();
        let found = statuses.find(|status| status.entry_id == entry)?;
        Some(found.status.as_str()).filter(|status| !status.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkStatus {
    #[serde(alias = "entryID")]
    entry_id: String,
    status: String,
}

/// Reads the answer to an event as Dapr does.
pub(crate) fn outcome(status: StatusCode, body: &[u8]) -> Outcome {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        status: String,
    }
    match status {
        status if status.is_success() => match serde_json::from_slice::<Answer>(body) {
            Ok(answer) => by_word(&answer.status),
            Err(_) => Outcome::Done,
        },
        StatusCode::NOT_FOUND => Outcome::Drop("the app has no such route (404)".to_owned()),
        status => Outcome::Retry(format!("the app answered {}", status.as_u16())),
    }
}

/// Reads the word of an answer.
pub(crate) fn by_word(status: &str) -> Outcome {
    match status {
        "" | "SUCCESS" => Outcome::Done,
        "DROP" => Outcome::Drop("the app dropped it".to_owned()),
        "RETRY" => Outcome::Retry("the app asked for a retry".to_owned()),
        other => Outcome::Retry(format!("the app answered the unknown status {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> &'static str {
        match outcome(StatusCode::from_u16(status).unwrap(), body.as_bytes()) {
            Outcome::Done => "done",
            Outcome::Expired => "expired",
            Outcome::Retry(_) => "retry",
            Outcome::Drop(_) => "drop",
            Outcome::Park(_) => "park",
            Outcome::Unreachable(_) => "unreachable",
        }
    }

    #[test]
    fn answers_are_read_as_the_sidecar_reads_them() {
        assert_eq!(kind(200, ""), "done");
        assert_eq!(kind(204, "not json"), "done");
        assert_eq!(kind(200, r#"{"status":"SUCCESS"}"#), "done");
        assert_eq!(kind(200, r#"{"status":"RETRY"}"#), "retry");
        assert_eq!(kind(200, r#"{"status":"DROP"}"#), "drop");
        assert_eq!(kind(200, r#"{"status":"OTHER"}"#), "retry");
        assert_eq!(kind(404, ""), "drop");
        assert_eq!(kind(500, ""), "retry");
        assert_eq!(kind(400, ""), "retry");
    }
}
