//! Jobs from the sidecar.

use axum::body::Body;
use http::{Method, Response, StatusCode, request::Parts};

use super::delivery::{collect, count, passed_on_answer, send, text_answer};
use crate::{
    app::DeliveryKind,
    jobs,
    sidecar::{names::job_owner, settings::Topology, shared::Shared},
};

/// Sends a job to its package. A 404 would end it for good to the sidecar, so what nobody takes is told as a failure:
/// the job's own policy says what comes then.
pub(super) async fn deliver(shared: &Shared, parts: &Parts, body: Body, name: &str) -> Response<Body> {
    let owner = match &shared.settings.topology {
        Topology::Dedicated(app) => Some((app.clone(), name)),
        Topology::Shared => job_owner(name).filter(|(app, _)| shared.apps.load().contains_key(app)),
    };
    let Some((app, name)) = owner else {
        tracing::error!(job = name, "no package here has this job");
        return text_answer(StatusCode::SERVICE_UNAVAILABLE, "no package has this job");
    };
    let Ok(body) = collect(body).await else {
        return text_answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "the job broke off on its way",
        );
    };
    let path = jobs::path(name);
    let answer = send(shared, &app, Method::POST, &path, &parts.headers, body).await;
    count(shared, &app, DeliveryKind::Job, &answer);
    match answer {
        // The sidecar would take it for done, and the job would be lost.
        Ok((StatusCode::NOT_FOUND, _)) => {
            tracing::warn!(app_id = %app, job = name, "the app has no route for its job (404)");
            text_answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the app has no route for it (404)",
            )
        }
        answer => passed_on_answer(answer),
    }
}
