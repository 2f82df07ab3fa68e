//! A client that others wrote: the official SDK for JavaScript, over TCP.

use std::{path::Path, process::Command, sync::Arc};

use tokio::net::TcpListener;
use wasmgate_dapr::{AppChannel, AppId, Body, Dapr, DeliverFuture, Globs, Grants, HttpAppChannel, Settings};
use wasmgate_real_dapr::{Place, left_out};

use crate::harness::{Apps, add_components, answer, app_id};

const COMPONENTS: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.sqlite, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: lockstore}
spec: {type: lock.in-memory, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: secretstore}
spec: {type: secretstores.local.env, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: files}
spec: {type: bindings.localstorage, version: v1, metadata: [{name: rootPath, value: files}]}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: tick}
spec: {type: bindings.cron, version: v1, metadata: [{name: schedule, value: '@every 1s'}]}
";

/// The app's port. The SDK listens on it at every address, whatever host it is told: no other test may have it at its
/// own, and below the ports that the system gives out nobody else has it.
const PORT: u16 = 13_579;

/// `js` is a process of its own, `echo` is here.
struct Channel {
    js: HttpAppChannel,
    here: Apps,
}

impl AppChannel for Channel {
    fn deliver(&self, app: &AppId, request: http::Request<Body>) -> DeliverFuture {
        match app.as_str() {
            "js" => self.js.deliver(app, request),
            _ => self.here.deliver(app, request),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_javascript_sdk_works_over_tcp() {
    if Command::new("node").arg("--version").output().is_err() {
        return left_out("there is no node (Debian's nodejs)");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/js");
    if !script.join("node_modules/@dapr/dapr").exists() {
        let install = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        let installed = Command::new("npm")
            .args(install)
            .current_dir(&script)
            .status()
            .unwrap();
        assert!(installed.success(), "npm ci");
    }

    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        data: folder.path().join("data"),
        api_token: Some("token".to_owned()),
        environment: [("GREETING".to_owned(), "hello".to_owned())].into(),
        secret_env: Globs::new(["GREETING"]).unwrap(),
        ..Settings::default()
    };
    add_components(&mut settings, &[("all.yaml", COMPONENTS)]);
    let dapr = Dapr::open(settings).unwrap();

    let place = Place::new();
    let app = place.at(PORT);
    let here = Apps::default();
    here.set("echo", |received| match received.path.as_str() {
        "/any/path" => answer(200, String::from_utf8_lossy(&received.body)),
        _ => answer(404, ""),
    });
    let js = HttpAppChannel::new(app_id("js"), app.to_string().parse().unwrap(), None);
    let apps = [
        (app_id("js"), Grants::all()),
        (app_id("echo"), Grants::all()),
    ];
    dapr.start(Arc::new(Channel { js, here }), apps).await;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = dapr.tcp_router(app_id("js"), Grants::all());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let ran = tokio::task::spawn_blocking(move || {
        let mut node = Command::new("node");
        node.arg("test.js")
            .current_dir(&script)
            .env("DAPR_API_TOKEN", "token");
        node.env("DAPR_PORT", port.to_string())
            .env("APP_HOST", app.ip().to_string())
            .env("APP_PORT", app.port().to_string());
        node.output().unwrap()
    });
    let ran = ran.await.unwrap();
    let told = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(ran.status.success(), "{}\n{}", told[0], told[1]);
}
