//! Jobs that apps have scheduled, stored on disk.
//!
//! A time that passed while nothing ran is made up for once: the job fires at the next start, and then at its next
//! time.

mod run;
mod spec;
mod table;

use std::sync::Arc;

use tokio::sync::Notify;

use spec::FAILED;
pub(crate) use spec::JobSpec;
use table::JobRow;
use wasmgate_common::path::encode_path;

use crate::{
    app::{AppId, Apps},
    background::Background,
    error::ApiError,
    quotas::Kept,
    store::{Store, StoreError, store_error, usage::Meter},
    time::now_ms,
};

/// The longest name of a job, in bytes: it becomes part of a path.
const MAX_NAME: usize = 256;

/// The block's surroundings.
pub(crate) struct Options {
    pub(crate) store: Arc<Store>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) background: Background,
}

/// The building block.
pub(crate) struct Jobs {
    store: Arc<Store>,
    apps: Arc<Apps>,
    background: Background,
    /// A job has been scheduled.
    scheduled: Notify,
}

impl Jobs {
    pub(crate) fn new(options: Options) -> Self {
        let Options {
            store,
            apps,
            background,
        } = options;
        Self {
            store,
            apps,
            background,
            scheduled: Notify::new(),
        }
    }

    /// Fires jobs in the background when they are due.
    pub(crate) fn start(self: &Arc<Self>) {
        self.background.spawn(run::run(Arc::clone(self)));
    }

    /// Refuses a name that no job may have, and an app that has nowhere to take a job.
    pub(crate) fn check(&self, app: &AppId, name: &str) -> Result<(), ApiError> {
        check_name(name)?;
        if !self.apps.can_reach(app) {
            let message =
                format!("app {app} has nowhere to take a job; set app_address in [dapr] to where its process listens");
            return Err(ApiError::new(400, FAILED, message));
        }
        Ok(())
    }

    /// Schedules a job of `app` under a name that was checked.
    pub(crate) async fn schedule(&self, app: &AppId, name: &str, spec: &JobSpec) -> Result<(), ApiError> {
        let (due_at, expires_at) = spec.begin(now_ms())?;
        let text = serde_json::to_string(spec);
        let text = text.map_err(|error| ApiError::new(400, FAILED, error.to_string()))?;
        let job = JobRow {
            app_id: app.to_string(),
            name: name.to_owned(),
            spec: text,
            due_at,
            fired: 0,
            attempts: 0,
            generation: 0,
            expires_at,
        };
        let overwrite = spec.overwrite.unwrap_or(false);
        let (owner, quotas) = (app.clone(), self.apps.quotas_of(app));
        let put = self.store.write_for(app, 1, move |conn| {
            let meter = Meter::read(conn, &owner, Kept::Jobs, &quotas)?;
            let put = table::put(conn, &job, overwrite)?;
            meter.check(conn, None)?;
            Ok(put)
        });
        let put = put
            .await
            .map_err(|error: StoreError| store_error(FAILED, &error))?;
        if !put {
            let message = format!("job {name:?} exists already; set overwrite to replace it");
            return Err(ApiError::new(409, FAILED, message));
        }
        self.scheduled.notify_one();
        Ok(())
    }

    /// The job `name` of `app` in JSON.
    pub(crate) fn get(&self, app: &AppId, name: &str) -> Result<String, ApiError> {
        const FAILED: &str = "DAPR_SCHEDULER_GET_JOB";
        check_name(name)?;
        let job = self.store.read(|conn| table::get(conn, app.as_str(), name));
        let Some(job) = job.map_err(|error| store_error(FAILED, &error))? else {
            let message = format!("there is no job {name:?} of this app");
            return Err(ApiError::new(404, FAILED, message));
        };
        let spec: JobSpec =
            serde_json::from_str(&job.spec).map_err(|error| ApiError::malformed(format!("bad JSON: {error}")))?;
        let shown = spec.shown(&job.name);
        shown.map_err(|error| ApiError::new(500, FAILED, error.to_string()))
    }

    /// Deletes the job `name` of `app`; one that is not there is as the app wants it.
    pub(crate) async fn delete(&self, app: &AppId, name: &str) -> Result<(), ApiError> {
        check_name(name)?;
        let (owner, name) = (app.to_string(), name.to_owned());
        let deleted = self
            .store
            .write_for(app, 1, move |conn| table::delete(conn, &owner, &name));
        let deleted = deleted.await;
        deleted.map_err(|error: StoreError| store_error("DAPR_SCHEDULER_DELETE_JOB", &error))?;
        Ok(())
    }
}

/// The path by which an app is called for its job `name`.
pub(crate) fn path(name: &str) -> String {
    // All that may stand in a path stands there as it is, as Dapr has it.
    format!("/job/{}", encode_path(name))
}

fn check_name(name: &str) -> Result<(), ApiError> {
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
