//! Sidecars that misbehave.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wasmgate_dapr::sidecar::{Sidecar, SidecarSettings};

use super::get;
use crate::harness::{Answer, Apps, eventually, whole};

/// A sidecar that answers every request with these bytes and closes, or never answers.
async fn strange(reply: Option<&'static str>) -> Sidecar {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = connection.read(&mut request).await;
            match reply {
                Some(reply) => drop(connection.write_all(reply.as_bytes()).await),
                None => kept.push(connection),
            }
        }
    });
    let settings = SidecarSettings {
        answer_timeout: Duration::from_millis(200),
        ..SidecarSettings::new(endpoint)
    };
    Sidecar::start(settings, Arc::new(Apps::default()), [])
}

#[tokio::test]
async fn a_sidecar_that_answers_500_is_heard() {
    let reply = "HTTP/1.1 500 Oops\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    let answer: Answer = whole(get(&strange(Some(reply)).await, "/v1.0/state/s/k").await).await;
    assert_eq!((answer.status, &answer.body[..]), (500, &b"no"[..]));
}

#[tokio::test]
async fn a_sidecar_that_hangs_is_a_504() {
    let answer = whole(get(&strange(None).await, "/v1.0/state/s/k").await).await;
    answer.fails(504, "ERR_SIDECAR_TIMEOUT");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_never_a_short_success() {
    let reply = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let sidecar = strange(Some(reply)).await;
    let streamed = get(&sidecar, "/v1.0/state/s/k").await.into_body();
    assert!(http_body_util::BodyExt::collect(streamed).await.is_err());
    let answer = whole(get(&sidecar, "/v1.0/secrets/s/bulk").await).await;
    answer.fails(502, "ERR_SIDECAR_ANSWER");
}

#[tokio::test]
async fn a_sidecar_that_is_late_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = format!("http://{address}").parse().unwrap();
    let sidecar = Sidecar::start(
        SidecarSettings::new(endpoint),
        Arc::new(Apps::default()),
        [],
    );
    let answer = whole(get(&sidecar, "/v1.0/state/s/k").await).await;
    answer.fails(503, "ERR_SIDECAR_UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!*sidecar.readiness().borrow());

    let listener = TcpListener::bind(address).await.unwrap();
    let router = axum::Router::new().fallback(|| async { http::StatusCode::NO_CONTENT });
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut ready = sidecar.readiness();
    ready.wait_for(|ready| *ready).await.unwrap();
    assert_eq!(get(&sidecar, "/v1.0/state/s/k").await.status(), 204);
    server.abort();
    eventually("it is seen to be gone", || async {
        // A kept connection may still answer; a new health check finds nobody in the end.
        !*sidecar.readiness().borrow() || get(&sidecar, "/v1.0/healthz").await.status() == 204
    })
    .await;
}
