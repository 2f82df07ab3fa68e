//! Jobs: an app schedules its own.

use super::call::Call;
use crate::{
    error::{ApiError, ApiResult},
    jobs::{FAILED, JobSpec},
    protocol::{
        body,
        message::{bytes, json, json_answer, no_content},
    },
    store::{
        StoreError,
        jobs::{self, JobRow},
        store_error,
    },
    time::now_ms,
};
use axum::body::Body;

/// The longest name of a job: it becomes part of a path.
const MAX_NAME: usize = 256;

pub(super) async fn schedule(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    check(name)?;
    if !call.runtime.can_reach(call.caller) {
        let message = format!(
            "app {} has nowhere to take a job; set app_address in [dapr] to where its process listens",
            call.caller
        );
        return Err(ApiError::new(400, FAILED, message));
    }
    let spec: JobSpec = body::proto(&bytes(body).await?)?;
    let (due_at, expires_at) = spec.begin(now_ms())?;
    let text = serde_json::to_string(&spec);
    let text = text.map_err(|error| ApiError::new(400, FAILED, error.to_string()))?;
    let job = JobRow {
        app_id: call.caller.to_string(),
        name: name.to_owned(),
        spec: text,
        due_at,
        fired: 0,
        attempts: 0,
        generation: 0,
        expires_at,
    };
    let overwrite = spec.overwrite.unwrap_or(false);
    let put = call
        .runtime
        .store
        .write(move |conn| jobs::put(conn, &job, overwrite));
    let put = put
        .await
        .map_err(|error: StoreError| store_error(FAILED, &error))?;
    if !put {
        let message = format!("job {name:?} exists already; set overwrite to replace it");
        return Err(ApiError::new(409, FAILED, message));
    }
    call.runtime.jobs.notify_one();
    no_content()
}

pub(super) fn get(call: &Call<'_>, name: &str) -> ApiResult {
    const FAILED: &str = "DAPR_SCHEDULER_GET_JOB";
    check(name)?;
    let job = call
        .runtime
        .store
        .read(|conn| jobs::get(conn, call.caller.as_str(), name));
    let Some(job) = job.map_err(|error| store_error(FAILED, &error))? else {
        return Err(ApiError::new(
            404,
            FAILED,
            format!("there is no job {name:?} of this app"),
        ));
    };
    let spec: JobSpec = json(job.spec.as_bytes())?;
    let shown = spec.shown(&job.name);
    json_answer(shown.map_err(|error| ApiError::new(500, FAILED, error.to_string()))?)
}

/// Answers 204 for a job that is not there too: then it is as the app wants it.
pub(super) async fn delete(call: &Call<'_>, name: &str) -> ApiResult {
    check(name)?;
    let (app, name) = (call.caller.to_string(), name.to_owned());
    let deleted = call
        .runtime
        .store
        .write(move |conn| jobs::delete(conn, &app, &name))
        .await;
    deleted.map_err(|error: StoreError| store_error("DAPR_SCHEDULER_DELETE_JOB", &error))?;
    no_content()
}

fn check(name: &str) -> Result<(), ApiError> {
    let wrong = |what: &str| {
        let message = format!("{name:?} is no name of a job: {what}");
        Err(ApiError::new(400, "DAPR_SCHEDULER_JOB_NAME_EMPTY", message))
    };
    if name.is_empty() || name.len() > MAX_NAME {
        return wrong(&format!("give 1 to {MAX_NAME} bytes"));
    }
    if name.contains('|') {
        return wrong("it may hold no |");
    }
    // It becomes the end of a path.
    if name
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        return wrong("no part between slashes may be empty, . or ..");
    }
    Ok(())
}
