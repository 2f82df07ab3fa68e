//! A runtime with scripted apps, and the ends through which it is called.

mod beside_dapr;

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};
use wasmgate_dapr::{
    AppChannel, AppId, Body, Dapr, DeliverError, DeliverFuture, Globs, Grants, HttpAppChannel, Settings,
    sidecar::{Callback, Sidecar, SidecarSettings},
};

/// Long enough for a loaded machine; nothing waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an app was sent.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) app: String,
    pub(crate) method: Method,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Script = Arc<dyn Fn(&Received) -> Response<Body> + Send + Sync>;

/// Apps that answer by script and remember what they were sent.
#[derive(Clone)]
pub(crate) struct Apps {
    scripts: Arc<Mutex<HashMap<String, Script>>>,
    log: watch::Sender<Vec<Received>>,
}

impl Default for Apps {
    fn default() -> Self {
        Self {
            scripts: Arc::default(),
            log: watch::Sender::new(Vec::new()),
        }
    }
}

impl Apps {
    pub(crate) fn set(&self, app: &str, script: impl Fn(&Received) -> Response<Body> + Send + Sync + 'static) {
        self.scripts
            .lock()
            .unwrap()
            .insert(app.to_owned(), Arc::new(script));
    }

    /// Adds an app that subscribes as `list` says and answers the rest by `script`.
    pub(crate) fn subscribe(
        &self,
        app: &str,
        list: Value,
        script: impl Fn(&Received) -> Response<Body> + Send + Sync + 'static,
    ) {
        self.set(app, move |received| {
            match (&received.method, received.path.as_str()) {
                (&Method::GET, "/dapr/subscribe") => answer(200, &list),
                _ => script(received),
            }
        });
    }

    /// Waits until what was sent to `app` on `path` is at least `count`, and answers with it.
    pub(crate) async fn wait(&self, app: &str, path: &str, count: usize) -> Vec<Received> {
        let mut log = self.log.subscribe();
        let matching = |log: &[Received]| -> Vec<Received> {
            log.iter()
                .filter(|sent| sent.app == app && sent.path == path)
                .cloned()
                .collect()
        };
        let waited = tokio::time::timeout(PATIENCE, log.wait_for(|log| matching(log).len() >= count));
        match waited.await {
            Ok(log) => matching(&log.unwrap()),
            Err(_) => panic!(
                "{app} never got {count} on {path}: {:#?}",
                self.log.borrow()
            ),
        }
    }

    pub(crate) fn count(&self, app: &str, path: &str) -> usize {
        self.log
            .borrow()
            .iter()
            .filter(|sent| sent.app == app && sent.path == path)
            .count()
    }
}

impl AppChannel for Apps {
    fn deliver(&self, app: &AppId, request: Request<Body>) -> DeliverFuture {
        let (apps, app) = (self.clone(), app.clone());
        Box::pin(async move {
            let script = apps.scripts.lock().unwrap().get(app.as_str()).cloned();
            let Some(script) = script else {
                return Err(DeliverError::NoSuchApp(app));
            };
            let (parts, body) = request.into_parts();
            let received = Received {
                app: app.to_string(),
                method: parts.method,
                path: parts.uri.to_string(),
                headers: parts.headers,
                body: body.collect().await.unwrap().to_bytes(),
            };
            let response = script(&received);
            apps.log.send_modify(|log| log.push(received));
            if response.status() == UNAVAILABLE {
                return Err(DeliverError::Unavailable {
                    app,
                    reason: "by script".to_owned(),
                });
            }
            Ok(response)
        })
    }
}

/// A script's word for "not reachable".
pub(crate) const UNAVAILABLE: StatusCode = StatusCode::IM_A_TEAPOT;

/// An answer of `status` with `body`.
pub(crate) fn answer(status: u16, body: impl ToString) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// Where a scenario's calls go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InProcess,
    Tcp,
    /// Through the client of a sidecar, which is an embedded runtime of its own over TCP.
    Relayed,
    /// Through the client of a sidecar, which is a real one.
    BesideDapr,
}

enum End {
    InProcess,
    Http(String),
    Relayed(Sidecar),
}

/// A runtime, its apps, and one end to call it through. The caller is app `shop`.
pub(crate) struct World {
    pub(crate) apps: Apps,
    pub(crate) dapr: Option<Dapr>,
    pub(crate) folder: TempDir,
    end: End,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Body>,
    /// What it stands beside, if that is real.
    real: Option<beside_dapr::RealDapr>,
}

/// An answer to a call, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a failure of Dapr's form.
    pub(crate) fn fails(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.json()["errorCode"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
    }
}

pub(crate) fn app_id(name: &str) -> AppId {
    AppId::new(name).unwrap()
}

/// Opens a runtime over `folder`, starts it with `apps` under `grants`, and waits until it is
/// ready.
pub(crate) async fn start(settings: Settings, apps: &Apps) -> Dapr {
    let dapr = Dapr::open(settings).unwrap();
    let names: Vec<_> = apps.scripts.lock().unwrap().keys().cloned().collect();
    let named = names.iter().map(|name| (app_id(name), Grants::all()));
    dapr.start(Arc::new(apps.clone()), named).await;
    tokio::time::timeout(PATIENCE, dapr.readiness().wait_for(|ready| *ready))
        .await
        .unwrap()
        .unwrap();
    dapr
}

/// An embedded runtime that is the sidecar of a gateway with these apps, and the gateway's client.
async fn relay(mut settings: Settings, apps: &Apps) -> (Dapr, Sidecar) {
    settings.api_token = Some("api".to_owned());
    let dapr = Dapr::open(settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let router = dapr.tcp_router(app_id("gateway"), Grants::all());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let settings = SidecarSettings {
        api_token: Some("api".to_owned()),
        app_token: Some("app".to_owned()),
        ..SidecarSettings::new(endpoint)
    };
    let sidecar = client(settings, apps);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().to_string().parse().unwrap();
    serve_callbacks(&sidecar, listener);
    let channel = HttpAppChannel::new(app_id("gateway"), port, Some("app".parse().unwrap()));
    dapr.start(Arc::new(channel), [(app_id("gateway"), Grants::all())])
        .await;
    for mut ready in [dapr.readiness(), sidecar.readiness()] {
        tokio::time::timeout(PATIENCE, ready.wait_for(|ready| *ready))
            .await
            .unwrap()
            .unwrap();
    }
    (dapr, sidecar)
}

/// The client of a sidecar, on behalf of these apps.
fn client(settings: SidecarSettings, apps: &Apps) -> Sidecar {
    let names: Vec<_> = apps.scripts.lock().unwrap().keys().cloned().collect();
    let named = names.iter().map(|name| (app_id(name), Grants::all()));
    Sidecar::start(settings, Arc::new(apps.clone()), named)
}

/// Serves what a sidecar calls back.
fn serve_callbacks(sidecar: &Sidecar, listener: TcpListener) {
    let sidecar = sidecar.clone();
    let router = axum::Router::new().fallback(move |request: Request<Body>| {
        let sidecar = sidecar.clone();
        async move {
            match sidecar.callback(request).await {
                Callback::Answered(response) => response,
                Callback::Invocation(request) => answer(404, request.uri()),
            }
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
}

impl World {
    pub(crate) async fn in_process(apps: Apps) -> Self {
        Self::with(Kind::InProcess, apps, |_| {}).await
    }

    /// A runtime whose folder `components` holds these files.
    pub(crate) async fn with_components(apps: Apps, files: &[(&str, &str)]) -> Self {
        Self::with(Kind::InProcess, apps, |settings| {
            add_components(settings, files)
        })
        .await
    }

    pub(crate) async fn with(kind: Kind, apps: Apps, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        if kind == Kind::BesideDapr {
            let (real, sidecar) = beside_dapr::RealDapr::start(&apps).await;
            return Self {
                apps,
                dapr: None,
                folder,
                end: End::Relayed(sidecar),
                client,
                real: Some(real),
            };
        }
        let environment = BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]);
        let data = folder.path().join("data");
        let mut settings = Settings {
            data,
            environment,
            secret_env: Globs::new(["GREETING"]).unwrap(),
            ..Settings::default()
        };
        change(&mut settings);
        if kind == Kind::Relayed {
            let (dapr, sidecar) = relay(settings, &apps).await;
            return Self {
                apps,
                dapr: Some(dapr),
                folder,
                end: End::Relayed(sidecar),
                client,
                real: None,
            };
        }
        let dapr = start(settings, &apps).await;
        let mut end = End::InProcess;
        if kind == Kind::Tcp {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            end = End::Http(format!("http://{}", listener.local_addr().unwrap()));
            let router = dapr.tcp_router(app_id("shop"), Grants::all());
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        Self {
            apps,
            dapr: Some(dapr),
            folder,
            end,
            client,
            real: None,
        }
    }

    pub(crate) fn dapr(&self) -> &Dapr {
        self.dapr.as_ref().unwrap()
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.call_with(method, path, &[("content-type", "application/json")], body)
            .await
    }

    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match &self.end {
            End::InProcess => {
                let request = request.uri(path).body(body.into()).unwrap();
                self.dapr()
                    .call(&app_id("shop"), &Grants::all(), request)
                    .await
            }
            End::Relayed(sidecar) => {
                let request = request.uri(path).body(body.into()).unwrap();
                sidecar.call(&app_id("shop"), &Grants::all(), request).await
            }
            End::Http(base) => {
                let request = request
                    .uri(format!("{base}{path}"))
                    .body(body.into())
                    .unwrap();
                self.client.request(request).await.unwrap().map(Body::new)
            }
        };
        whole(response).await
    }

    /// A call of another app, or with other grants, through a sidecar's client.
    pub(crate) async fn relayed_as(&self, app: &str, grants: &Grants, method: &str, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        self.relayed(app, grants, request).await
    }

    /// Any call of an app with these grants, through a sidecar's client.
    pub(crate) async fn relayed(&self, app: &str, grants: &Grants, request: Request<Body>) -> Answer {
        let End::Relayed(sidecar) = &self.end else {
            panic!("not relayed")
        };
        whole(sidecar.call(&app_id(app), grants, request).await).await
    }

    /// A call of another app, or with other grants; in process only.
    pub(crate) async fn call_as(
        &self,
        app: &str,
        grants: &Grants,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(body.into())
            .unwrap();
        whole(self.dapr().call(&app_id(app), grants, request).await).await
    }
}

pub(crate) fn add_components(settings: &mut Settings, files: &[(&str, &str)]) {
    let folder = settings.data.parent().unwrap().join("components");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    settings.components = Some(folder);
}

pub(crate) async fn whole(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    }
}

/// Asks again until `ask` says yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, ask: impl Fn() -> F) {
    let asked = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, asked).await.is_ok(),
        "{what}: not in {PATIENCE:?}"
    );
}

/// A unique name, so that scenarios may run again against one sidecar.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}

/// Makes each scenario a test against every end.
#[macro_export]
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        mod in_process {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let apps = super::apps();
                super::$name(&$crate::harness::World::with($crate::harness::Kind::InProcess, apps, |_| {}).await).await;
            })+
        }
        mod over_tcp {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let apps = super::apps();
                super::$name(&$crate::harness::World::with($crate::harness::Kind::Tcp, apps, |_| {}).await).await;
            })+
        }
        mod through_a_sidecar_client {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let apps = super::apps();
                super::$name(&$crate::harness::World::with($crate::harness::Kind::Relayed, apps, |_| {}).await).await;
            })+
        }
        mod beside_dapr {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if !wasmgate_real_dapr::there() {
                    return;
                }
                let apps = super::apps();
                super::$name(&$crate::harness::World::with($crate::harness::Kind::BesideDapr, apps, |_| {}).await).await;
            })+
        }
    };
}
