//! Jobs: what an app has scheduled for itself, on disk and across restarts.
//!
//! A time that passed while nothing ran is made up for once: the job fires at the next start, and
//! then at its next time.

mod spec;

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use tokio::{
    task::{self, JoinSet},
    time::sleep,
};

pub(crate) use spec::{FAILED, JobSpec};
use wasmgate_common::{TRACEPARENT, TraceParent};

use crate::{
    app::{AppId, DeliveryKind, DeliveryResult},
    runtime::{DeliveryFailure, Runtime},
    store::{
        StoreError,
        jobs::{self, JobRow},
    },
    time::{later, now_ms, until},
};

/// Jobs that fire at once; more wait their turn. As with events, a share of what the gateway
/// admits.
const MAX_IN_FLIGHT: usize = 64;

/// The pause after an app could not be reached, which counts as no failure of the job. Each pause
/// is a write, so jobs of an app that is gone for good must not be many a second.
const UNREACHABLE_PAUSE: Duration = Duration::from_secs(2);

/// The longest sleep without looking: clocks are set, machines are suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

type Name = (String, String);

/// Fires jobs when they are due, until the runtime stops.
pub(crate) async fn run(runtime: Arc<Runtime>) {
    let mut under_way = JoinSet::new();
    // By task, so that a job is free again even if its task dies.
    let mut in_flight: HashMap<task::Id, Name> = HashMap::new();
    loop {
        let pause = match fire_due(&runtime, &mut in_flight, &mut under_way) {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "jobs could not be read");
                UNREACHABLE_PAUSE
            }
        };
        tokio::select! {
            Some(finished) = under_way.join_next_with_id() => {
                let id = finished.map_or_else(|died| died.id(), |(id, ())| id);
                in_flight.remove(&id);
            }
            () = runtime.jobs.notified() => {}
            () = sleep(pause) => {}
            () = runtime.stopping.cancelled() => break,
        }
    }
    while under_way.join_next().await.is_some() {}
}

fn fire_due(
    runtime: &Arc<Runtime>,
    in_flight: &mut HashMap<task::Id, Name>,
    under_way: &mut JoinSet<()>,
) -> Result<Duration, StoreError> {
    if in_flight.len() >= MAX_IN_FLIGHT {
        return Ok(LONGEST_SLEEP);
    }
    let now = now_ms();
    // Those in flight are still in the table, and are due: they are asked for and left out.
    let due = runtime
        .store
        .read(|conn| jobs::due(conn, now, MAX_IN_FLIGHT + in_flight.len()))?;
    for job in due {
        let name = (job.app_id.clone(), job.name.clone());
        if in_flight.len() < MAX_IN_FLIGHT && !in_flight.values().any(|known| *known == name) {
            let task = under_way.spawn(fire(runtime.clone(), job));
            in_flight.insert(task.id(), name);
        }
    }
    let next = runtime.store.read(|conn| jobs::next_due(conn, now))?;
    Ok(next
        .map_or(LONGEST_SLEEP, |at| until(at, now))
        .min(LONGEST_SLEEP))
}

/// Fires one job once and writes down what comes of it.
async fn fire(runtime: Arc<Runtime>, job: JobRow) {
    let settled = match serde_json::from_str::<JobSpec>(&job.spec) {
        Err(error) => {
            tracing::error!(app_id = job.app_id, job = job.name, %error, "a job is unreadable");
            finish(&runtime, job).await
        }
        Ok(spec) => {
            let outcome = deliver(&runtime, &job, &spec).await;
            settle(&runtime, job, &spec, outcome).await
        }
    };
    if let Err(error) = settled {
        // It stays due and fires again.
        tracing::error!(%error, "a job could not be settled");
        sleep(UNREACHABLE_PAUSE).await;
    }
}

async fn deliver(runtime: &Arc<Runtime>, job: &JobRow, spec: &JobSpec) -> Result<(), DeliveryFailure> {
    if job
        .expires_at
        .is_some_and(|expires_at| expires_at <= now_ms())
    {
        return Ok(());
    }
    let app = AppId::new(&job.app_id).map_err(|error| DeliveryFailure::Unreachable(error.to_string()))?;
    let request = Request::post(path(&job.name))
        .header(CONTENT_TYPE, "application/json")
        .header(TRACEPARENT, TraceParent::random().to_header())
        .body(Body::from(spec.payload()))
        .map_err(|error| DeliveryFailure::Failed(error.to_string()))?;
    match runtime.deliver_whole(&app, request, None).await? {
        (status, _) if status.is_success() => Ok(()),
        // Dapr takes it for done, and the job is lost. It may be that a new version has the route.
        (StatusCode::NOT_FOUND, _) => Err(DeliveryFailure::Failed(
            "the app has no route for it (404)".to_owned(),
        )),
        (status, _) => Err(DeliveryFailure::Failed(format!(
            "the app answered {status}"
        ))),
    }
}

/// Characters that may not stand in a path. All others of a job's name stand in it as they are, as Dapr has it.
const NOT_IN_PATHS: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Where the app is called for its job `name`.
pub(crate) fn path(name: &str) -> String {
    format!(
        "/job/{}",
        percent_encoding::utf8_percent_encode(name, NOT_IN_PATHS)
    )
}

async fn settle(
    runtime: &Arc<Runtime>,
    mut job: JobRow,
    spec: &JobSpec,
    outcome: Result<(), DeliveryFailure>,
) -> Result<(), StoreError> {
    let now = now_ms();
    let count = |result| {
        if let Ok(app) = AppId::new(&job.app_id) {
            runtime.settled(&app, DeliveryKind::Job, result);
        }
    };
    match outcome {
        Err(DeliveryFailure::Unreachable(reason)) => {
            count(DeliveryResult::Unreachable);
            tracing::debug!(
                app_id = job.app_id,
                job = job.name,
                reason,
                "a job waits for its app"
            );
            job.due_at = later(now, UNREACHABLE_PAUSE);
            return reschedule(runtime, job).await;
        }
        Err(DeliveryFailure::Failed(reason)) => {
            tracing::warn!(app_id = job.app_id, job = job.name, reason, "a job failed");
            let pause = spec.retry_pause(job.attempts);
            count(pause.map_or(DeliveryResult::Dropped, |_| DeliveryResult::Retry));
            if let Some(pause) = pause {
                job.attempts += 1;
                job.due_at = later(now, pause);
                return reschedule(runtime, job).await;
            }
        }
        Ok(()) => count(DeliveryResult::Done),
    }
    job.attempts = 0;
    job.fired += 1;
    let next = spec.next_after(&job, now);
    match next.filter(|next| job.expires_at.is_none_or(|expires_at| *next < expires_at)) {
        Some(next) => {
            job.due_at = next;
            reschedule(runtime, job).await
        }
        None => finish(runtime, job).await,
    }
}

async fn reschedule(runtime: &Arc<Runtime>, job: JobRow) -> Result<(), StoreError> {
    runtime
        .store
        .write(move |conn| jobs::reschedule(conn, &job))
        .await
}

async fn finish(runtime: &Arc<Runtime>, job: JobRow) -> Result<(), StoreError> {
    runtime
        .store
        .write(move |conn| jobs::finish(conn, &job))
        .await
}
