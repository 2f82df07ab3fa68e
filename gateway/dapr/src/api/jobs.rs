//! Jobs: an app schedules its own.

use axum::body::Body;

use super::call::Call;
use crate::{
    error::ApiResult,
    jobs::JobSpec,
    protocol::{
        body,
        message::{bytes, json_answer, no_content},
    },
};

pub(super) async fn schedule(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let jobs = &call.api.jobs;
    jobs.check(call.caller, name)?;
    let spec: JobSpec = body::proto(&bytes(body).await?)?;
    jobs.schedule(call.caller, name, &spec).await?;
    no_content()
}

pub(super) fn get(call: &Call<'_>, name: &str) -> ApiResult {
    json_answer(call.api.jobs.get(call.caller, name)?)
}

pub(super) async fn delete(call: &Call<'_>, name: &str) -> ApiResult {
    call.api.jobs.delete(call.caller, name).await?;
    no_content()
}
