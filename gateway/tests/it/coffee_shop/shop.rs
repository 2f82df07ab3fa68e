//! The coffee shop as it is shipped: the repository's `wasmgate.toml` and its component files, with
//! data of the test's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use wasmgate_dapr::{AppId, Body, Dapr, Grants, Settings};

use crate::harness::{Reply, TestGateway, example_packages, full, guest, packages_of_wasip3, until};

/// The folder of component files that `wasmgate.toml` names.
const COMPONENTS: &str = "deploy/base/components";

/// An order's statuses that are final.
pub(crate) const FULFILLED: u64 = 2;
pub(crate) const REFUNDED: u64 = 3;

/// A shop that is closed: its folder and its configuration.
pub(crate) struct Shop {
    folder: TempDir,
    toml: String,
}

impl Shop {
    /// Every package in its place; an order that is not made after `order_timeout` is refunded.
    pub(crate) fn new(order_timeout: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let shipped = std::fs::read_to_string(root.join("wasmgate.toml")).unwrap();
        let components = folder.path().join("components");
        std::fs::create_dir(&components).unwrap();
        for file in std::fs::read_dir(root.join(COMPONENTS)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), components.join(file.file_name())).unwrap();
        }
        let shop = Self {
            folder,
            toml: shipped,
        };
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        let packages = format!("{}/", example_packages().display());
        shop.with("target/wasm32-wasip2/release/", &packages)
            .with(
                "[server]\n",
                &format!("[server]\ncache = '{}'\n", cache.display()),
            )
            .with(
                "ORDER_TIMEOUT = \"30s\"",
                &format!("ORDER_TIMEOUT = \"{order_timeout}\""),
            )
            .with_dapr_folders(&components)
    }

    /// The kitchen can do nothing but trap, and its events are given up soon.
    pub(crate) fn with_a_kitchen_that_traps(self) -> Self {
        let impatient = "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: impatient}\n\
             spec:\n  policies:\n    retries:\n      \
             twice: {policy: constant, duration: 50ms, maxRetries: 2}\n  \
             targets: {components: {kitchenpubsub: {inbound: {retry: twice}}}}\n";
        let file = self.folder.path().join("components/impatient.yaml");
        std::fs::write(file, impatient).unwrap();
        let kitchen = example_packages().join("kitchen_api.wasm");
        let broken = guest("traps_on_kitchen_events");
        self.with(
            &kitchen.display().to_string(),
            &broken.display().to_string(),
        )
    }

    /// Every package is built for WASI 0.3.
    pub(crate) fn of_wasip3(self) -> Self {
        let [from, to] = [example_packages(), packages_of_wasip3()].map(|folder| format!("{}/", folder.display()));
        self.with(&from, &to)
    }

    /// Opens the shop, with what it kept since it was open before. It needs its folder as long as it
    /// is open.
    pub(crate) fn open(&self) -> TestGateway {
        TestGateway::start_with(
            &self.toml,
            &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
        )
    }

    /// Returns the closed shop's books.
    pub(crate) fn books(&self) -> Books {
        let settings = Settings {
            data: self.data(),
            components: Some(self.folder.path().join("components")),
            ..Settings::default()
        };
        Books(Dapr::open(settings).unwrap())
    }

    fn with_dapr_folders(self, components: &Path) -> Self {
        let data = self.data();
        self.with(
            &format!("components = \"{COMPONENTS}\""),
            &format!(
                "components = '{}'\ndata = '{}'",
                components.display(),
                data.display()
            ),
        )
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn with(mut self, shipped: &str, own: &str) -> Self {
        assert!(
            self.toml.contains(shipped),
            "wasmgate.toml has no {shipped:?}"
        );
        self.toml = self.toml.replace(shipped, own);
        self
    }
}

/// The state and the queues of a closed shop.
pub(crate) struct Books(Dapr);

impl Books {
    /// A value of counter-api's state.
    pub(crate) async fn counter(&self, key: &str) -> Option<Value> {
        let request = Request::get(format!("/v1.0/state/statestore/{key}"))
            .body(Body::empty())
            .unwrap();
        let counter = AppId::new("counter-api").unwrap();
        let response = self.0.call(&counter, &Grants::all(), request).await;
        let (status, body) = (response.status(), response.into_body());
        let bytes = body.collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{status}: {bytes:?}");
        (status != StatusCode::NO_CONTENT).then(|| serde_json::from_slice(&bytes).unwrap())
    }

    /// The ids of all orders.
    pub(crate) async fn order_list(&self) -> Vec<String> {
        let list = self.counter("order-list").await.unwrap_or(json!([]));
        serde_json::from_value(list).unwrap()
    }

    /// Events in each topic that have not been taken, whatever will become of them.
    pub(crate) async fn left(&self) -> BTreeMap<String, u64> {
        let queues = self.0.queues().await.into_iter();
        let left = queues.map(|queue| (queue.topic, queue.waiting + queue.parked));
        left.filter(|(_, events)| *events > 0).collect()
    }
}

/// An order of drinks and food.
pub(crate) fn order(drinks: &[u32], food: &[u32]) -> Value {
    let items = |types: &[u32]| -> Value { types.iter().map(|kind| json!({"itemType": kind})).collect() };
    json!({
        "commandType": 0, "orderSource": 1, "location": 0,
        "loyaltyMemberId": "0199d2a0-0000-7000-8000-000000000009",
        "baristaItems": items(drinks), "kitchenItems": items(food),
        "timestamp": "2026-01-01T00:00:00Z",
    })
}

/// The order numbered `number`: mixed, drinks only, food only, in turn.
pub(crate) fn any_order(number: usize) -> Value {
    match number % 3 {
        0 => order(&[5, 0], &[8]),
        1 => order(&[3], &[]),
        _ => order(&[], &[6, 7]),
    }
}

/// Places an order with an idempotency key; `None` when the gateway does not live to answer.
pub(crate) async fn try_place(gateway: SocketAddr, key: &str, order: &Value) -> Option<Reply> {
    let stream = TcpStream::connect(gateway).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::post("/c/v1/api/orders")
        .header("host", gateway.to_string())
        .header("idempotency-key", key)
        .body(full(order.to_string()))
        .unwrap();
    Reply::of(sender.send_request(request).await.ok()?)
        .await
        .ok()
}

/// Places an order; its id.
pub(crate) async fn place(gateway: &TestGateway, order: &Value) -> String {
    id_of(&gateway.post("/c/v1/api/orders", order.to_string()).await)
}

/// The id in the answer to an order that was taken.
#[track_caller]
pub(crate) fn id_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 202, "{}", reply.text());
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    let id = answer["id"].as_str().unwrap().to_owned();
    let location = format!("/c/v1/api/orders/{id}");
    assert_eq!(reply.header("location"), Some(location.as_str()));
    id
}

/// An order as the counter shows it.
pub(crate) async fn show(gateway: &TestGateway, id: &str) -> Value {
    let reply = gateway.get(&format!("/c/v1/api/orders/{id}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

/// Waits until an order has ended; how.
pub(crate) async fn end_of(gateway: &TestGateway, id: &str) -> u64 {
    let status = async || show(gateway, id).await["orderStatus"].as_u64().unwrap();
    until(&format!("the end of order {id}"), async || {
        status().await >= FULFILLED
    })
    .await;
    status().await
}

/// The ids on all pages of the list; each is there once.
pub(crate) async fn listed(gateway: &TestGateway) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for page in 1.. {
        let reply = gateway
            .get(&format!(
                "/c/v1/api/fulfillment-orders?size=100&page={page}"
            ))
            .await;
        let orders: Vec<Value> = serde_json::from_slice(&reply.body).unwrap();
        for order in &orders {
            assert!(
                ids.insert(order["id"].as_str().unwrap().to_owned()),
                "listed twice"
            );
        }
        let next = reply
            .header("link")
            .is_some_and(|link| link.contains("rel=\"next\""));
        if !next {
            break;
        }
    }
    ids
}
