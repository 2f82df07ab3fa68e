//! Input bindings from the sidecar.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use futures_util::future::join_all;
use http::{HeaderMap, Method, Response, StatusCode, request::Parts};
use wasmgate_common::path;

use super::delivery::{Answer, collect, count, passed_on_answer, send, text_answer};
use crate::{
    app::{AppId, DeliveryKind},
    sidecar::shared::Shared,
};

/// Sends what an input binding brought to every package that takes it.
pub(super) async fn deliver(shared: &Shared, parts: &Parts, body: Body, name: &str) -> Response<Body> {
    let apps = self::apps(shared, name).await;
    let Ok(body) = collect(body).await else {
        return text_answer(StatusCode::BAD_REQUEST, "");
    };
    if apps.is_empty() {
        return text_answer(StatusCode::NOT_FOUND, "no package takes this binding");
    }
    let path = parts.uri.path();
    let sent = apps.iter().map(|app| {
        send(
            shared,
            app,
            Method::POST,
            path,
            &parts.headers,
            body.clone(),
        )
    });
    let mut answers = join_all(sent).await;
    for (app, answer) in apps.iter().zip(&answers) {
        count(shared, app, DeliveryKind::Binding, answer);
    }
    let failed = |answer: &Answer| !matches!(answer, Ok((status, _)) if status.is_success());
    // The first failure speaks for all: the sidecar delivers again.
    let at = answers.iter().position(failed).unwrap_or(0);
    passed_on_answer(answers.swap_remove(at))
}

/// Returns the packages that have a route for a binding, asked once.
pub(super) async fn apps(shared: &Shared, name: &str) -> Vec<AppId> {
    if let Some(apps) = shared.bindings.load().get(name) {
        return apps.clone();
    }
    let apps = ask(shared, name).await;
    if !apps.is_empty() {
        keep(shared, name, &apps);
    }
    apps
}

/// Asks again about every binding that is known: other packages are there.
pub(in crate::sidecar) async fn refresh(shared: &Shared) {
    let known: Vec<String> = shared.bindings.load().keys().cloned().collect();
    for name in known {
        // Until they have answered, its path stays closed to everybody else.
        let apps = ask(shared, &name).await;
        keep(shared, &name, &apps);
    }
}

fn keep(shared: &Shared, name: &str, apps: &[AppId]) {
    shared.bindings.rcu(|all| {
        let mut all = BTreeMap::clone(all);
        all.insert(name.to_owned(), apps.to_vec());
        all.retain(|_, apps| !apps.is_empty());
        all
    });
}

async fn ask(shared: &Shared, name: &str) -> Vec<AppId> {
    let path = path::from_segments(&[name]);
    let asked = shared.granted_apps().into_iter().map(|app| {
        let path = path.clone();
        async move {
            let answer = send(
                shared,
                &app,
                Method::OPTIONS,
                &path,
                &HeaderMap::new(),
                Bytes::new(),
            )
            .await;
            let takes = |status: StatusCode| status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED;
            matches!(answer, Ok((status, _)) if takes(status)).then_some(app)
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}
