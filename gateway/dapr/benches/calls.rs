//! What calls cost without a guest: the API's dispatch, the store, and an event's way.
//!
//! Prints a table; `cargo bench -p wasmgate-dapr`. Writes wait for the disk's sync, so alone they
//! measure the disk and together how well they share it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use http::{Request, Response, StatusCode};
use tokio::sync::Notify;
use wasmgate_dapr::{AppChannel, AppId, Body, Dapr, DeliverFuture, Grants, Settings};

/// An app that takes every event and counts.
#[derive(Clone, Default)]
struct Counter {
    taken: Arc<AtomicU64>,
    changed: Arc<Notify>,
}

impl AppChannel for Counter {
    fn deliver(&self, _app: &AppId, request: Request<Body>) -> DeliverFuture {
        let counter = self.clone();
        Box::pin(async move {
            let list = r#"[{"pubsubname":"pubsub","topic":"t","route":"/t"}]"#;
            if request.uri().path() == "/dapr/subscribe" {
                return Ok(Response::new(Body::from(list)));
            }
            counter.taken.fetch_add(1, Ordering::SeqCst);
            counter.changed.notify_waiters();
            Ok(Response::new(Body::empty()))
        })
    }
}

impl Counter {
    async fn reach(&self, count: u64) {
        loop {
            let changed = self.changed.notified();
            if self.taken.load(Ordering::SeqCst) >= count {
                return;
            }
            changed.await;
        }
    }
}

struct Bench {
    dapr: Dapr,
    app: AppId,
    grants: Grants,
}

impl Bench {
    async fn call(&self, method: &str, path: &str, body: &'static str) -> Result<StatusCode> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(body))?;
        Ok(self
            .dapr
            .call(&self.app, &self.grants, request)
            .await
            .status())
    }

    /// The mean time of one of `count` calls, one after the other.
    async fn each(&self, count: u32, method: &str, path: &str, body: &'static str) -> Result<Duration> {
        let start = Instant::now();
        for _ in 0..count {
            self.call(method, path, body).await?;
        }
        Ok(start.elapsed() / count)
    }
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run())
}

async fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = Settings {
        data: folder.path().to_owned(),
        ..Settings::default()
    };
    let (app, grants) = (AppId::new("shop")?, Grants::all());
    let counter = Counter::default();
    let bench = Bench {
        dapr: Dapr::open(settings)?,
        app: app.clone(),
        grants: grants.clone(),
    };
    bench
        .dapr
        .start(Arc::new(counter.clone()), [(app, grants)])
        .await;
    bench
        .dapr
        .readiness()
        .wait_for(|ready| *ready)
        .await
        .context("the runtime ended")?;

    let (store, item) = ("/v1.0/state/statestore", r#"[{"key":"k","value":{"n":1}}]"#);
    bench.call("POST", store, item).await?;
    let key = "/v1.0/state/statestore/k";
    bench.each(1_000, "GET", key, "").await?;
    println!(
        "dispatch alone (health)     {:>10.2?}",
        bench.each(100_000, "GET", "/v1.0/healthz", "").await?
    );
    println!(
        "state get                   {:>10.2?}",
        bench.each(100_000, "GET", key, "").await?
    );
    println!(
        "state set, one at a time    {:>10.2?}",
        bench.each(500, "POST", store, item).await?
    );

    let start = Instant::now();
    let lanes = (0..64).map(|_| bench.each(100, "POST", store, item));
    futures_util::future::try_join_all(lanes).await?;
    println!(
        "state set, 64 at a time     {:>10.2?}",
        start.elapsed() / 6_400
    );

    let publish = "/v1.0/publish/pubsub/t";
    let start = Instant::now();
    for count in 1..=200 {
        bench.call("POST", publish, r#"{"n":1}"#).await?;
        counter.reach(count).await;
    }
    println!(
        "publish until delivered     {:>10.2?}",
        start.elapsed() / 200
    );

    let start = Instant::now();
    let lanes = (0..64).map(|_| bench.each(100, "POST", publish, r#"{"n":1}"#));
    futures_util::future::try_join_all(lanes).await?;
    counter.reach(200 + 6_400).await;
    let rate = 6_400.0 / start.elapsed().as_secs_f64();
    println!("events published and taken  {rate:>8.0}/s");
    Ok(())
}
