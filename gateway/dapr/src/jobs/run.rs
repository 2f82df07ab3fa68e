//! Runs due jobs, a limited number at once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

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

/// Jobs of one app among them.
const MAX_OF_APP: usize = 16;

/// Jobs that fire at once where each is the only one of its app: one does not wait for other apps' jobs, as long as
/// there are not so many of those.
const MAX_SINGLE: usize = 512;

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
    let now = now_ms();
    let turns = pick(
        in_flight.values(),
        |known: &HashMap<&str, HashSet<&str>>| {
            let apps = jobs.store.read(|conn| table::apps_due(conn, now))?;
            let due = apps.into_iter().map(|app| {
                let busy = known.get(app.as_str());
                let held = busy.map_or(0, HashSet::len);
                if held >= MAX_OF_APP {
                    return Ok((held, Vec::new()));
                }
                // Those in flight are still in the table, and are due: they are asked for and left out.
                let mut due = jobs
                    .store
                    .read(|conn| table::due(conn, &app, now, MAX_OF_APP + held))?;
                due.retain(|job| busy.is_none_or(|busy| !busy.contains(job.name.as_str())));
                Ok((held, due))
            });
            due.collect::<Result<Vec<_>, StoreError>>()
        },
    )?;
    for job in turns {
        let name = (job.app_id.clone(), job.name.clone());
        let task = under_way.spawn(fire(jobs.clone(), job));
        in_flight.insert(task.id(), name);
    }
    let next = jobs.store.read(|conn| table::next_due(conn, now))?;
    Ok(next
        .map_or(LONGEST_SLEEP, |at| until(at, now))
        .min(LONGEST_SLEEP))
}

/// Picks the jobs that fire now, given those in flight: of all apps in turns.
fn pick<'a>(
    in_flight: impl Iterator<Item = &'a Name>,
    due: impl FnOnce(&HashMap<&'a str, HashSet<&'a str>>) -> Result<Vec<(usize, Vec<JobRow>)>, StoreError>,
) -> Result<Vec<JobRow>, StoreError> {
    let mut known: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut total = 0;
    for (app, name) in in_flight {
        known.entry(app).or_default().insert(name);
        total += 1;
    }
    let mut apps: Vec<_> = due(&known)?
        .into_iter()
        .map(|(held, due)| (held, due.into_iter()))
        .collect();
    let mut picked = Vec::new();
    // Those with the fewest go first, and each gets one in a round.
    for round in 0..MAX_OF_APP {
        for (_, due) in apps.iter_mut().filter(|(held, _)| *held <= round) {
            let most = if round == 0 {
                MAX_SINGLE
            } else {
                MAX_IN_FLIGHT
            };
            if total < most
                && let Some(job) = due.next()
            {
                picked.push(job);
                total += 1;
            }
        }
    }
    Ok(picked)
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
    write(jobs, job, table::reschedule).await
}

async fn finish(jobs: &Jobs, job: JobRow) -> Result<(), StoreError> {
    write(jobs, job, table::finish).await
}

async fn write(
    jobs: &Jobs,
    job: JobRow,
    change: fn(&rusqlite::Connection, &JobRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    match AppId::new(&job.app_id) {
        Ok(app) => {
            jobs.store
                .write_for(&app, 1, move |conn| change(conn, &job))
                .await
        }
        Err(_) => jobs.store.write(move |conn| change(conn, &job)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(app: &str, name: usize) -> JobRow {
        JobRow {
            app_id: app.to_owned(),
            name: name.to_string(),
            spec: String::new(),
            due_at: 0,
            fired: 0,
            attempts: 0,
            generation: 0,
            expires_at: None,
        }
    }

    fn due(app: &str, many: usize) -> Vec<JobRow> {
        (0..many).map(|name| job(app, name)).collect()
    }

    fn count(picked: &[JobRow], app: &str) -> usize {
        picked.iter().filter(|job| job.app_id == app).count()
    }

    #[test]
    fn an_app_with_many_jobs_leaves_room_for_the_others() {
        let picked = pick([].iter(), |_| {
            Ok(vec![(0, due("flood", 1000)), (0, due("calm", 3))])
        })
        .unwrap();
        assert_eq!(
            (count(&picked, "flood"), count(&picked, "calm")),
            (MAX_OF_APP, 3)
        );
        // The second one that fires is the other's.
        assert_eq!(picked[1].app_id, "calm");
    }

    #[test]
    fn an_app_without_a_job_in_flight_does_not_wait_for_those_that_have_all_places() {
        let full: Vec<Name> = (0..MAX_IN_FLIGHT)
            .map(|n| (format!("hangs-{}", n / MAX_OF_APP), n.to_string()))
            .collect();
        let picked = pick(full.iter(), |known| {
            assert_eq!(known["hangs-0"].len(), MAX_OF_APP);
            Ok(vec![
                (MAX_OF_APP, Vec::new()),
                (1, due("one", 5)),
                (0, due("calm", 5)),
            ])
        });
        let picked = picked.unwrap();
        assert_eq!((count(&picked, "one"), count(&picked, "calm")), (0, 1));
    }

    #[test]
    fn jobs_that_fire_at_once_are_bounded_however_many_apps_have_some() {
        let apps = (0..2 * MAX_SINGLE).map(|app| (0, due(&app.to_string(), 2)));
        let picked = pick([].iter(), |_| Ok(apps.collect())).unwrap();
        assert_eq!(picked.len(), MAX_SINGLE);
    }
}
