//! The ends of which the calls are made.

use std::{collections::BTreeMap, sync::Arc};

use http::Request;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use wasmgate_dapr::{
    AppChannel, AppId, Body, Dapr, DeliverError, DeliverFuture, Globs, Grants, HttpAppChannel, Settings,
    sidecar::{Callback, Sidecar, SidecarSettings, Topology},
};
use wasmgate_real_dapr::{Daprd, Postgres, Redis, Resources, Scheduler};

use super::{app::App, case::Step, seen::Seen, stand_in::StandIn};
use crate::harness::{Answer, app_id, whole};

/// What has to stay alive for the end to answer.
type Held = Box<dyn std::any::Any>;

/// Something that answers Dapr's calls.
pub(super) enum End {
    InMemory(StandIn),
    OverHttp(OverHttp),
}

/// An end with an app that listens.
pub(super) struct OverHttp {
    way: Way,
    app: App,
    folder: TempDir,
    _held: Vec<Held>,
}

enum Way {
    Tcp(String, Box<Client<HttpConnector, Body>>),
    Client(Sidecar),
}

/// Apps by their names.
struct Channel(BTreeMap<AppId, HttpAppChannel>);

impl AppChannel for Channel {
    fn deliver(&self, app: &AppId, request: Request<Body>) -> DeliverFuture {
        let Some(channel) = self.0.get(app) else {
            let unknown = DeliverError::NoSuchApp(app.clone());
            return Box::pin(async move { Err(unknown) });
        };
        channel.deliver(app, request)
    }
}

impl Channel {
    fn new(apps: &[(&str, &App)]) -> Arc<Self> {
        let apps = apps.iter().map(|(name, app)| {
            let authority = app.address.to_string().parse().unwrap();
            (
                app_id(name),
                HttpAppChannel::new(app_id(name), authority, None),
            )
        });
        Arc::new(Self(apps.collect()))
    }
}

/// The components of the end, as both read them.
fn resources(folder: &TempDir, app: &App, redis: &str, postgres: &str) -> String {
    let secrets = super::case::folder().join("secrets.json");
    std::fs::copy(secrets, folder.path().join("secrets.json")).unwrap();
    include_str!("../../differential/components.yaml")
        .replace("FOLDER", folder.path().to_str().unwrap())
        .replace("APP", &app.address.to_string())
        .replace("REDIS", redis)
        .replace("POSTGRES", postgres)
}

impl End {
    /// The runtime of this crate, over TCP.
    pub(super) async fn embedded() -> Self {
        let (app, menu) = (App::start().await, App::start().await);
        let folder = tempfile::tempdir().unwrap();
        let components = folder.path().join("components");
        std::fs::create_dir(&components).unwrap();
        let text = resources(&folder, &app, "nowhere:1", "nowhere");
        std::fs::write(components.join("all.yaml"), text).unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let items = super::case::folder().join("configuration.json");
        std::fs::copy(items, data.join("configuration.json")).unwrap();
        let settings = Settings {
            data,
            components: Some(components),
            substitute: true,
            environment: [("DIFFERENTIAL_GREETING".to_owned(), "hello".to_owned())].into(),
            secret_env: Globs::new(["DIFFERENTIAL_*"]).unwrap(),
            ..Settings::default()
        };
        let dapr = Dapr::open(settings).unwrap();
        let apps = [
            (app_id("shop"), Grants::all()),
            (app_id("menu"), Grants::none()),
        ];
        dapr.start(Channel::new(&[("shop", &app), ("menu", &menu)]), apps)
            .await;
        dapr.readiness().wait_for(|ready| *ready).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = dapr.tcp_router(app_id("shop"), Grants::all());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = client();
        Self::OverHttp(OverHttp {
            way: Way::Tcp(base, Box::new(client)),
            app,
            folder,
            _held: vec![Box::new(dapr)],
        })
    }

    /// A real sidecar of `shop`, and one of `menu` for it to invoke.
    pub(super) async fn sidecar() -> Self {
        let (app, menu) = (App::start().await, App::start().await);
        let (daprd, folder, mut held) = sidecar_of(&app, &app).await;
        let scheduler = Scheduler::start().await;
        let names = names(&folder);
        let mut daprd = daprd.scheduler(&scheduler).configuration(&names);
        daprd.start().await;
        let mut other = Daprd::new("menu", &Resources::default())
            .app(menu.address)
            .configuration(&names);
        other.start().await;
        daprd.ready().await;
        other.ready().await;
        let base = format!("http://{}", daprd.http());
        held.extend([
            Box::new(daprd) as Held,
            Box::new(other),
            Box::new(scheduler),
        ]);
        let client = client();
        Self::OverHttp(OverHttp {
            way: Way::Tcp(base, Box::new(client)),
            app,
            folder,
            _held: held,
        })
    }

    /// A real sidecar through the client by which a gateway's package reaches it.
    pub(super) async fn relayed() -> Self {
        let app = App::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callbacks = app.at(listener.local_addr().unwrap());
        let (mut daprd, folder, mut held) = sidecar_of(&app, &callbacks).await;
        let endpoint = format!("http://{}", daprd.http()).parse().unwrap();
        let settings = SidecarSettings {
            topology: Topology::Dedicated(app_id("shop")),
            invoke_remotely: true,
            ..SidecarSettings::new(endpoint)
        };
        let channel = Channel::new(&[("shop", &app)]);
        let apps = [(app_id("shop"), Grants::all())];
        let sidecar = Sidecar::start(settings, channel.clone(), apps);
        let relayed = sidecar.clone();
        let router = axum::Router::new().fallback(move |request: Request<Body>| {
            let (sidecar, channel) = (relayed.clone(), channel.clone());
            async move {
                match sidecar.callback(request).await {
                    Callback::Answered(response) => response,
                    Callback::Invocation(request) => channel.deliver(&app_id("shop"), request).await.unwrap(),
                }
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        daprd.start().await;
        daprd.ready().await;
        sidecar.readiness().wait_for(|ready| *ready).await.unwrap();
        held.push(Box::new(daprd));
        Self::OverHttp(OverHttp {
            way: Way::Client(sidecar),
            app,
            folder,
            _held: held,
        })
    }

    /// The stand-in of the SDK.
    pub(super) fn stand_in() -> Self {
        Self::InMemory(StandIn::new())
    }

    /// Makes a call, and waits for what the app is sent because of it.
    pub(super) async fn call(&self, step: &Step) -> Seen {
        match self {
            Self::InMemory(stand_in) => stand_in.call(step),
            Self::OverHttp(end) => end.call(step).await,
        }
    }
}

impl OverHttp {
    /// Makes a call, and waits for what the app is sent because of it.
    async fn call(&self, step: &Step) -> Seen {
        let mark = self.app.mark();
        let mut answer = self.answer(step).await;
        // Files are named below the folder of the end, and the app by its address.
        let root = self.folder.path().to_str().unwrap();
        let app = self.app.address.to_string();
        if let Ok(text) = std::str::from_utf8(&answer.body) {
            answer.body = text.replace(root, "ROOT").replace(&app, "APP").into();
        }
        let sent = match &step.sent {
            Some(sent) => self.app.sent(mark, &sent.at, sent.times).await,
            None => Vec::new(),
        };
        Seen::new(answer, &sent)
    }

    async fn answer(&self, step: &Step) -> Answer {
        let path = step.path.replace("<app>", &self.app.address.to_string());
        let request = |base: &str| {
            let mut request = Request::builder().method(step.method.as_str());
            for (name, value) in &step.headers {
                request = request.header(name, value);
            }
            let body = Body::from(step.body.clone());
            request.uri(format!("{base}{path}")).body(body).unwrap()
        };
        let (base, client) = match &self.way {
            Way::Client(sidecar) => {
                let (shop, all) = (app_id("shop"), Grants::all());
                return whole(sidecar.call(&shop, &all, request("")).await).await;
            }
            Way::Tcp(base, client) => (base, client),
        };
        let response = client.request(request(base)).await;
        let response = response.unwrap_or_else(|error| panic!("{}: {error}", step.name));
        whole(response.map(Body::new)).await
    }
}

/// A real sidecar that has not been started, of the app that listens at `callbacks`.
async fn sidecar_of(app: &App, callbacks: &App) -> (Daprd, TempDir, Vec<Held>) {
    let folder = tempfile::tempdir().unwrap();
    let (redis, postgres) = tokio::join!(Redis::start(), Postgres::start());
    let items = std::fs::read_to_string(super::case::folder().join("configuration.json"));
    let items: BTreeMap<String, serde_json::Value> = serde_json::from_str(&items.unwrap()).unwrap();
    for (key, item) in items {
        let value = match item {
            serde_json::Value::String(value) => value,
            item => format!(
                "{}||{}",
                item["value"].as_str().unwrap(),
                item["version"].as_str().unwrap()
            ),
        };
        redis.call(&format!("SELECT 1\r\nSET {key} {value}")).await;
    }
    let (address, connection) = (redis.address().to_string(), postgres.connection_string());
    let text = resources(&folder, app, &address, &connection);
    let daprd = Daprd::new("shop", &Resources::default().text(&text))
        .app(callbacks.address)
        .environment("DIFFERENTIAL_GREETING", "hello");
    (daprd, folder, vec![Box::new(redis), Box::new(postgres)])
}

/// A file of apps' names that several sidecars share.
fn names(folder: &TempDir) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {{name: shared}}\nspec:\n  nameResolution:\n    \
         component: sqlite\n    configuration: {{connectionString: '{}/names.db'}}\n",
        folder.path().display()
    )
}

/// A client with a connection for each call: one that is closed after an answer fails no other.
fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build_http()
}
