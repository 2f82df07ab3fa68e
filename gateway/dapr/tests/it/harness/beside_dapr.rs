//! A real Dapr for a world: the sidecar of its own with a Redis of its own, PostgreSQL and the scheduler shared.

use std::sync::Arc;

use tokio::net::TcpListener;
use wasmgate_dapr::sidecar::{Sidecar, SidecarSettings};
use wasmgate_real_dapr::{Daprd, Postgres, Redis, Resources, Scheduler};

use super::{Apps, PATIENCE, World, client, serve_callbacks, unique};

/// The names that an embedded runtime has without files, in stores that keep what packages rely on.
const RESOURCES: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec:
  type: state.postgresql
  version: v2
  metadata:
  - {name: connectionString, secretKeyRef: {name: postgresql, key: connection-string}}
  - {name: cleanupInterval, value: 1s}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec:
  type: pubsub.redis
  version: v1
  metadata:
  - {name: redisHost, value: REDIS}
  - {name: redisPassword, secretKeyRef: {name: redis, key: password}}
  - {name: processingTimeout, value: 5s}
  - {name: redeliverInterval, value: 1s}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: lockstore}
spec:
  type: lock.redis
  version: v1
  metadata:
  - {name: redisHost, value: REDIS}
  - {name: redisPassword, secretKeyRef: {name: redis, key: password}}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: configstore}
spec:
  type: configuration.redis
  version: v1
  metadata:
  - {name: redisHost, value: REDIS}
  - {name: redisPassword, secretKeyRef: {name: redis, key: password}}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: secretstore}
spec: {type: secretstores.local.env, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: far}
spec: {type: bindings.http, version: v1, metadata: [{name: url, value: 'http://127.0.0.1:1'}]}
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: r}
spec:
  policies:
    retries:
      fast: {policy: constant, duration: 20ms, maxRetries: 5}
    circuitBreakers:
      soon: {maxRequests: 1, timeout: 300ms, trip: consecutiveFailures >= 2}
  targets:
    components:
      pubsub: {inbound: {retry: fast}}
      far: {outbound: {circuitBreaker: soon}}
";

/// Everything real that a world stands beside.
pub(crate) struct RealDapr {
    pub(crate) daprd: Daprd,
    pub(crate) redis: Redis,
    /// The app-id by which the sidecar knows the gateway.
    pub(crate) app_id: String,
    _postgres: Arc<Postgres>,
    _scheduler: Arc<Scheduler>,
}

impl RealDapr {
    /// Starts a sidecar for a gateway with these apps, and the gateway's client of it.
    pub(super) async fn start(apps: &Apps) -> (Self, Sidecar) {
        let redis = Redis::start().await;
        let (postgres, scheduler) = (Postgres::shared().await, Scheduler::shared().await);
        let resources = Resources::default()
            .text(RESOURCES)
            .replace("REDIS", redis.address())
            .secret("redis", "password", Redis::PASSWORD)
            .secret(
                "postgresql",
                "connection-string",
                postgres.connection_string(),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app_id = unique("gateway");
        let mut daprd = Daprd::new(&app_id, &resources)
            .app(listener.local_addr().unwrap())
            .scheduler(&scheduler)
            .environment("DAPR_API_TOKEN", "api")
            .environment("APP_API_TOKEN", "app")
            .environment("GREETING", "hello");
        let settings = SidecarSettings {
            api_token: Some("api".to_owned()),
            app_token: Some("app".to_owned()),
            ..SidecarSettings::new(format!("http://{}", daprd.http()).parse().unwrap())
        };
        let sidecar = client(settings, apps);
        serve_callbacks(&sidecar, listener);
        daprd.start().await;
        daprd.ready().await;
        let mut ready = sidecar.readiness();
        tokio::time::timeout(PATIENCE, ready.wait_for(|ready| *ready))
            .await
            .expect("the client finds the sidecar")
            .unwrap();
        let real = Self {
            daprd,
            redis,
            app_id,
            _postgres: postgres,
            _scheduler: scheduler,
        };
        (real, sidecar)
    }
}

impl World {
    /// Whether it stands beside a real Dapr.
    pub(crate) fn is_beside_dapr(&self) -> bool {
        self.real.is_some()
    }

    /// The Redis of the real Dapr it stands beside.
    pub(crate) fn redis(&self) -> &Redis {
        &self.real.as_ref().unwrap().redis
    }

    /// The real Dapr it stands beside.
    pub(crate) fn real(&mut self) -> &mut RealDapr {
        self.real.as_mut().unwrap()
    }
}
