//! The work of the block: what is due goes out, so many at a time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use tokio::{
    task::{self, JoinSet},
    time::sleep,
};
use wasmgate_common::{TRACEPARENT, TraceParent};

use super::{
    Jobs, path,
    spec::JobSpec,
    table::{self, JobRow},
};
use crate::{
    app::{AppId, DeliveryFailure, DeliveryKind, DeliveryResult},
    store::StoreError,
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
pub(super) async fn run(jobs: Arc<Jobs>) {
    let mut under_way = JoinSet::new();
    // By task, so that a job is free again even if its task dies.
    let mut in_flight: HashMap<task::Id, Name> = HashMap::new();
    loop {
        let pause = match fire_due(&jobs, &mut in_flight, &mut under_way) {
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
            () = jobs.scheduled.notified() => {}
            () = sleep(pause) => {}
            () = jobs.background.stopped() => break,
        }
    }
    while under_way.join_next().await.is_some() {}
}

fn fire_due(
    jobs: &Arc<Jobs>,
    in_flight: &mut HashMap<task::Id, Name>,
    under_way: &mut JoinSet<()>,
) -> Result<Duration, StoreError> {
    if in_flight.len() >= MAX_IN_FLIGHT {
        return Ok(LONGEST_SLEEP);
    }
    let now = now_ms();
    // Those in flight are still in the table, and are due: they are asked for and left out.
    let due = jobs
        .store
        .read(|conn| table::due(conn, now, MAX_IN_FLIGHT + in_flight.len()))?;
    for job in due {
        let name = (job.app_id.clone(), job.name.clone());
        if in_flight.len() < MAX_IN_FLIGHT && !in_flight.values().any(|known| *known == name) {
            let task = under_way.spawn(fire(jobs.clone(), job));
            in_flight.insert(task.id(), name);
        }
    }
    let next = jobs.store.read(|conn| table::next_due(conn, now))?;
    Ok(next
        .map_or(LONGEST_SLEEP, |at| until(at, now))
        .min(LONGEST_SLEEP))
}

/// Fires one job once and writes down what comes of it.
async fn fire(jobs: Arc<Jobs>, job: JobRow) {
    let settled = match serde_json::from_str::<JobSpec>(&job.spec) {
        Err(error) => {
            tracing::error!(app_id = job.app_id, job = job.name, %error, "a job is unreadable");
            finish(&jobs, job).await
        }
        Ok(spec) => {
            let outcome = deliver(&jobs, &job, &spec).await;
            settle(&jobs, job, &spec, outcome).await
        }
    };
    if let Err(error) = settled {
        // It stays due and fires again.
        tracing::error!(%error, "a job could not be settled");
        sleep(UNREACHABLE_PAUSE).await;
    }
}

async fn deliver(jobs: &Jobs, job: &JobRow, spec: &JobSpec) -> Result<(), DeliveryFailure> {
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
    match jobs.apps.deliver_whole(&app, request, None).await? {
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

async fn settle(
    jobs: &Jobs,
    mut job: JobRow,
    spec: &JobSpec,
    outcome: Result<(), DeliveryFailure>,
) -> Result<(), StoreError> {
    let now = now_ms();
    let count = |result| {
        if let Ok(app) = AppId::new(&job.app_id) {
            jobs.apps.settled(&app, DeliveryKind::Job, result);
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
            return reschedule(jobs, job).await;
        }
        Err(DeliveryFailure::Failed(reason)) => {
            tracing::warn!(app_id = job.app_id, job = job.name, reason, "a job failed");
            let pause = spec.retry_pause(job.attempts);
            count(pause.map_or(DeliveryResult::Dropped, |_| DeliveryResult::Retry));
            if let Some(pause) = pause {
                job.attempts += 1;
                job.due_at = later(now, pause);
                return reschedule(jobs, job).await;
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
            reschedule(jobs, job).await
        }
        None => finish(jobs, job).await,
    }
}

async fn reschedule(jobs: &Jobs, job: JobRow) -> Result<(), StoreError> {
    jobs.store
        .write(move |conn| table::reschedule(conn, &job))
        .await
}

async fn finish(jobs: &Jobs, job: JobRow) -> Result<(), StoreError> {
    jobs.store
        .write(move |conn| table::finish(conn, &job))
        .await
}
