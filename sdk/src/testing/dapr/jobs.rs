//! Jobs in memory.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Answer, answer_json, refuse, text};
use crate::{Method, Response};

const FAILED: &str = "DAPR_SCHEDULER_SCHEDULE_JOB";

/// Jobs by name, as they were scheduled.
#[derive(Default)]
pub(super) struct Jobs(pub(super) BTreeMap<String, Value>);

impl Jobs {
    pub(super) fn answer(&mut self, method: &Method, name: &str, body: &[u8]) -> Answer {
        match method.as_str() {
            "POST" => self.schedule(name, body),
            "GET" => match self.0.get(name) {
                Some(job) => Ok(Response::json(&shown(name, job))),
                None => {
                    let message = format!("rpc error: code = NotFound desc = job not found: {name}");
                    refuse(500, "DAPR_SCHEDULER_GET_JOB", &message)
                }
            },
            "DELETE" => {
                self.0.remove(name);
                Ok(Response::new(204))
            }
            _ => refuse(404, "ERR_DIRECT_INVOKE", "no such call"),
        }
    }

    fn schedule(&mut self, name: &str, body: &[u8]) -> Answer {
        let job: Value = match body {
            [] => Value::Null,
            body => answer_json(body)?,
        };
        check(name, &job)?;
        if self.0.contains_key(name) && job.get("overwrite") != Some(&Value::Bool(true)) {
            let message = format!("rpc error: code = AlreadyExists desc = job already exists: '{name}'");
            return refuse(500, FAILED, &message);
        }
        self.0.insert(name.to_owned(), job);
        Ok(Response::new(204))
    }
}

/// Refuses what Dapr's scheduler would.
fn check(name: &str, job: &Value) -> Result<(), Response> {
    if name.contains("||") {
        return refuse(
            400,
            "DAPR_SCHEDULER_JOB_NAME_EMPTY",
            "a name may not contain `||`",
        );
    }
    if !text(job, "name").is_empty() {
        return refuse(400, "DAPR_SCHEDULER_JOB_NAME", "only the path names a job");
    }
    let due = [text(job, "dueTime"), text(job, "due_time")].concat();
    let schedule = text(job, "schedule");
    if due.is_empty() && schedule.is_empty() {
        return refuse(
            400,
            "DAPR_SCHEDULER_SCHEDULE_EMPTY",
            "schedule and dueTime are empty",
        );
    }
    let policy = job
        .get("failurePolicy")
        .or_else(|| job.get("failure_policy"));
    let mut words = policy.and_then(Value::as_object).into_iter().flatten();
    if let Some((word, _)) = words.find(|(word, _)| !matches!(word.as_str(), "drop" | "constant")) {
        return refuse(
            400,
            "ERR_MALFORMED_REQUEST",
            &format!("there is no failure policy {word:?}"),
        );
    }
    if !schedule.is_empty() && !is_schedule(schedule) {
        return refuse(400, FAILED, &format!("{schedule:?} is no schedule"));
    }
    // A duration or a time: either has a digit.
    if !due.is_empty() && !due.bytes().any(|byte| byte.is_ascii_digit()) {
        return refuse(400, FAILED, &format!("{due:?} is no time"));
    }
    if schedule.is_empty() && !text(job, "ttl").is_empty() {
        return refuse(400, FAILED, "a ttl ends a schedule, and there is none");
    }
    Ok(())
}

/// Six fields, or one of the words for them.
fn is_schedule(text: &str) -> bool {
    match text.strip_prefix('@') {
        Some(word) => !word.is_empty(),
        None => text.split_whitespace().count() == 6,
    }
}

/// A job as the API shows it, its data in protobuf's wrapper.
fn shown(name: &str, job: &Value) -> Value {
    let mut job = job.as_object().cloned().unwrap_or_default();
    job.remove("overwrite");
    job.insert("name".to_owned(), name.into());
    if let Some(data) = job.get_mut("data") {
        *data = json!({"@type": "type.googleapis.com/google.protobuf.Value", "value": data.take()});
    }
    job.entry("failurePolicy")
        .or_insert_with(|| json!({"constant": {"interval": "1s", "maxRetries": 3}}));
    job.into()
}
