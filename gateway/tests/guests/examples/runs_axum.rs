//! An application of axum with nothing of ours in it: extractors, state, a layer, nested routers, streams and calls.
#![cfg(target_arch = "wasm32")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use wstd::{http, task::sleep, time::Duration};

#[derive(Deserialize, Serialize)]
struct User {
    name: String,
    age: u8,
}

#[derive(Deserialize)]
struct Greeting {
    #[serde(default)]
    loud: bool,
}

#[derive(Deserialize)]
struct Target {
    to: String,
}

#[wstd_axum::http_server]
fn main() -> Router {
    let users = Router::new()
        .route("/", post(create))
        .route("/{name}", get(greet));
    Router::new()
        .route("/", get(|| async { "Hello from axum!\n" }))
        .nest("/users", users)
        .route("/echo", post(echo))
        .route("/ticks", get(ticks))
        .route("/outside", get(outside))
        .fallback(|| async { (StatusCode::NOT_FOUND, "nothing here\n") })
        .layer(middleware::from_fn(sign))
        .with_state(Arc::default())
}

async fn sign(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let signature = HeaderValue::from_static("layer");
    response.headers_mut().insert("x-signed-by", signature);
    response
}

async fn create(State(created): State<Arc<AtomicU32>>, Json(user): Json<User>) -> impl IntoResponse {
    let id = created.fetch_add(1, Ordering::Relaxed);
    let location = format!("/users/{}-{id}", user.name);
    (
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(user),
    )
}

async fn greet(Path(name): Path<String>, Query(greeting): Query<Greeting>) -> String {
    let hello = format!("Hello, {name}!\n");
    match greeting.loud {
        true => hello.to_uppercase(),
        false => hello,
    }
}

async fn echo(request: Request) -> Body {
    request.into_body()
}

/// Three lines, each after a pause.
async fn ticks() -> Body {
    let lines = stream::unfold(1, |tick| async move {
        sleep(Duration::from_millis(5)).await;
        (tick <= 3).then(|| (Ok::<_, Infallible>(format!("tick {tick}\n")), tick + 1))
    });
    Body::from_stream(lines)
}

async fn outside(Query(target): Query<Target>) -> Result<Body, (StatusCode, String)> {
    let failed = |error: http::Error| (StatusCode::BAD_GATEWAY, format!("{error:?}"));
    let request = http::Request::get(&target.to).body(());
    let request = request.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let response = http::Client::new().send(request).await.map_err(failed)?;
    Ok(Body::new(response.into_body().into_boxed_body()))
}
