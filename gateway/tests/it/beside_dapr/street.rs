//! The shop under the shipped overlay, and everything beside it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use wasmgate_real_dapr::{Daprd, Place, Postgres, Redis, Resources, Scheduler};

use crate::{
    coffee_shop::shop::{FULFILLED, listed, show},
    harness::{Signal, TestGateway, command, example_packages},
};

/// The components that the overlay configures, relative to the repository.
const OVERLAY: &str = "deploy/overlays/dapr";

/// The token that the overlay has the sidecar send to the gateway.
const APP_TOKEN: &str = "of-the-gateway";

/// The time that an order may take to its end: a redelivery after a crash (`processingTimeout` and `redeliverInterval`
/// of the overlay), on a busy machine. The order's own time-out comes later.
const PATIENCE: Duration = Duration::from_secs(110);

/// The gateway and its shop, and what it stands beside. Each can be ended and started again where it was.
pub(super) struct Street {
    pub(super) gateway: TestGateway,
    pub(super) daprd: Daprd,
    pub(super) redis: Redis,
    pub(super) postgres: Postgres,
    pub(super) scheduler: Scheduler,
    place: Place,
    /// The logs of gateways that were killed.
    earlier: String,
}

impl Street {
    /// Starts everything and waits until sidecar and gateway are ready.
    pub(super) async fn open() -> Self {
        let street = Self::open_with("pubsub.redis").await;
        street.daprd.ready().await;
        street
    }

    /// Starts everything, with pub/sub components of this type, and waits until the gateway says that it is ready.
    pub(super) async fn open_with(pubsub: &str) -> Self {
        let (redis, postgres) = (Redis::start().await, Postgres::start().await);
        let scheduler = Scheduler::start().await;
        let place = Place::new();
        let mut daprd = sidecar(&redis, &postgres, &place, pubsub).scheduler(&scheduler);
        let gateway = gateway(&place, &daprd);
        daprd.start().await;
        let street = Self {
            gateway,
            daprd,
            redis,
            postgres,
            scheduler,
            place,
            earlier: String::new(),
        };
        street.gateway.ready().await;
        street
    }

    /// The address of the gateway, through all restarts.
    pub(super) fn address(&self) -> SocketAddr {
        self.place.at(3000)
    }

    /// Starts one more gateway with a sidecar of its own, and waits until it is ready: another replica.
    pub(super) async fn replica(&self) -> Replica {
        let place = Place::new();
        let mut daprd = sidecar(&self.redis, &self.postgres, &place, "pubsub.redis").scheduler(&self.scheduler);
        let gateway = gateway(&place, &daprd);
        daprd.start().await;
        gateway.ready().await;
        Replica {
            gateway,
            daprd,
            place,
        }
    }

    /// Puts a replica in the place of the first one, which is answered.
    pub(super) fn exchange(&mut self, replica: Replica) -> Replica {
        Replica {
            gateway: std::mem::replace(&mut self.gateway, replica.gateway),
            daprd: std::mem::replace(&mut self.daprd, replica.daprd),
            place: std::mem::replace(&mut self.place, replica.place),
        }
    }

    /// Ends the gateway as a loss of power would, and starts another in its place.
    pub(super) fn kill_the_gateway(&mut self) {
        self.gateway.kill();
        self.earlier += &self.gateway.log();
        self.gateway = gateway(&self.place, &self.daprd);
    }

    /// Waits until every order has ended. How many ended how, by status.
    pub(super) async fn ends(&self, ids: &[String]) -> BTreeMap<u64, usize> {
        let deadline = Instant::now() + PATIENCE;
        let mut ends = BTreeMap::new();
        for id in ids {
            let end = loop {
                let status = show(&self.gateway, id).await["orderStatus"].as_u64();
                match status {
                    Some(status) if status >= FULFILLED => break status,
                    _ if Instant::now() > deadline => break 0,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            };
            *ends.entry(end).or_default() += 1;
            if end != FULFILLED {
                eprintln!("{}", self.history(id));
            }
        }
        ends
    }

    /// Checks that these orders are all there are, that all were made whole, and that nothing was given up.
    pub(super) async fn has_made_exactly(&self, ids: &[String]) {
        assert_eq!(
            self.ends(ids).await,
            BTreeMap::from([(FULFILLED, ids.len())])
        );
        assert_eq!(listed(&self.gateway).await, ids.iter().cloned().collect());
        let list = self.state("order-list");
        assert_eq!(list.matches('"').count(), 2 * ids.len(), "{list}");
        for id in ids {
            let order = show(&self.gateway, id).await;
            let lines = order["itemLines"].as_array().unwrap();
            assert!(
                lines.iter().all(|line| line["itemStatus"] == FULFILLED),
                "{order}"
            );
        }
        for topic in ["barista", "kitchen"] {
            for event in ["placed", "updated"] {
                let dead = format!("XLEN {topic}order{event}-dead");
                assert!(self.redis.call(&dead).await.contains(":0\r\n"), "{dead}");
            }
        }
    }

    /// Collects what is known of an order, for whoever reads why a test failed.
    fn history(&self, id: &str) -> String {
        let log = format!("{}\n{}", self.earlier, self.gateway.log());
        let logged: Vec<_> = log.lines().filter(|line| line.contains(id)).collect();
        let state = self.postgres.query(&format!(
            "select key, convert_from(value, 'UTF8') from wasmgate_state where key like '%{id}%'"
        ));
        format!("order {id}:\n{}\n{state}", logged.join("\n"))
    }

    /// A value of counter-api's state as PostgreSQL has it.
    pub(super) fn state(&self, key: &str) -> String {
        self.postgres.query(&format!(
            "select convert_from(value, 'UTF8') from wasmgate_state where key like '%counter-api%{key}'"
        ))
    }
}

/// A gateway and its sidecar.
pub(super) struct Replica {
    gateway: TestGateway,
    daprd: Daprd,
    place: Place,
}

impl Replica {
    /// The address of the gateway.
    pub(super) fn address(&self) -> SocketAddr {
        self.place.at(3000)
    }

    /// Ends both as Kubernetes ends a pod with a native sidecar: the gateway first, by SIGTERM, and when it is gone the
    /// sidecar. Answers with what the gateway logged.
    pub(super) async fn end(mut self) -> String {
        self.gateway.signal(Signal::Terminate);
        let ended = self.gateway.ended().await;
        assert_eq!(ended.code(), Some(0), "something was cut");
        let daprd = &mut self.daprd;
        tokio::task::block_in_place(|| daprd.terminate());
        self.gateway.log()
    }
}

/// The overlay's sidecar: its resources with the test's addresses and secrets, and what the Deployment's annotations
/// say of its command line.
fn sidecar(redis: &Redis, postgres: &Postgres, place: &Place, pubsub: &str) -> Daprd {
    let overlay = root().join(OVERLAY);
    let resources = ["components.yaml", "subscriptions.yaml", "resiliency.yaml"]
        .iter()
        .fold(Resources::default(), |all, file| {
            all.file(&overlay.join(file))
        })
        .replace("redis-master:6379", redis.address())
        .replace("pubsub.redis", pubsub)
        .secret("redis", "redis-password", Redis::PASSWORD)
        .secret(
            "postgresql",
            "connection-string",
            postgres.connection_string(),
        );
    let configuration = std::fs::read_to_string(overlay.join("rendered/configuration.yaml")).unwrap();
    Daprd::new("wasmgate", &resources)
        .configuration(&configuration)
        .app(place.at(3001))
        .environment("APP_API_TOKEN", APP_TOKEN)
        .flags([
            "--enable-app-health-check",
            "--app-health-check-path=/healthz",
        ])
        .flags([
            "--app-health-probe-interval=1",
            "--dapr-graceful-shutdown-seconds=5",
        ])
}

/// A gateway with the overlay's `wasmgate.toml`, at the place's address.
fn gateway(place: &Place, daprd: &Daprd) -> TestGateway {
    let rendered = std::fs::read_to_string(root().join(OVERLAY).join("rendered/configmap.yaml")).unwrap();
    let config: serde_json::Value = serde_norway::from_str(&rendered).unwrap();
    let mut toml = config["data"]["wasmgate.toml"].as_str().unwrap().to_owned();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    for (shipped, own) in [
        ("0.0.0.0:3000", place.at(3000).to_string()),
        ("0.0.0.0:9090", place.at(9090).to_string()),
        ("127.0.0.1:3001", place.at(3001).to_string()),
        ("/var/cache/wasmgate/code", cache.display().to_string()),
        ("/packages/", format!("{}/", example_packages().display())),
    ] {
        assert!(toml.contains(shipped), "the overlay has no {shipped:?}");
        toml = toml.replace(shipped, &own);
    }
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
    let mut command = command(folder.path(), &["up"]);
    command
        .env("DAPR_HTTP_ENDPOINT", format!("http://{}", daprd.http()))
        .env("APP_API_TOKEN", APP_TOKEN);
    TestGateway::spawn(command).keeping(folder)
}

fn root() -> PathBuf {
    let gateway = Path::new(env!("CARGO_MANIFEST_DIR"));
    gateway.parent().unwrap().to_owned()
}
