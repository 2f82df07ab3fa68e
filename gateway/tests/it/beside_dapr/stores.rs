//! The SDK's reading of every store's own words for a write that came too late, and for a store that is gone.

use wasmgate_real_dapr::{Daprd, Place, Postgres, Redis, Resources};

use crate::{
    dapr_etags::{etag_scenario, put_price},
    harness::{TestGateway, until},
    keyvalue::versions::versions_scenario,
};

const STORES: [&str; 5] = ["postgres", "postgres1", "redis", "sqlite", "memory"];

const RESOURCES: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: postgres}
spec:
  type: state.postgresql
  version: v2
  metadata: [{name: connectionString, value: POSTGRES}, {name: timeout, value: 2s}]
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: postgres1}
spec:
  type: state.postgresql
  version: v1
  metadata: [{name: connectionString, value: POSTGRES}, {name: tableName, value: first}, {name: timeout, value: 2s}]
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: redis}
spec:
  type: state.redis
  version: v1
  metadata: [{name: redisHost, value: REDIS}, {name: redisPassword, value: PASSWORD}]
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: sqlite}
spec:
  type: state.sqlite
  version: v1
  metadata: [{name: connectionString, value: 'file::memory:'}]
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: memory}
spec: {type: state.in-memory, version: v1}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stores_own_words_for_too_late_are_a_conflict_and_for_gone_unavailable() {
    if !wasmgate_real_dapr::there() {
        return;
    }
    let (mut redis, mut postgres) = (Redis::start().await, Postgres::start().await);
    let place = Place::new();
    let resources = Resources::default()
        .text(RESOURCES)
        .replace("POSTGRES", postgres.connection_string())
        .replace("REDIS", redis.address())
        .replace("PASSWORD", Redis::PASSWORD);
    let mut daprd = Daprd::new("stores", &resources).app(place.at(3001));
    let settings = format!(
        "mode = \"sidecar\"\nsidecar = \"http://{}\"\nlisten = \"{}\"",
        daprd.http(),
        place.at(3001)
    );
    let gateway = STORES
        .iter()
        .fold(TestGateway::builder().dapr(&settings), |all, store| {
            let lines = format!("env = {{ STORE = \"{store}\" }}\ndapr = {{ state = [\"{store}\"] }}");
            all.guest_as(store, "guards_a_price", &lines)
        });
    let buckets = STORES.map(|store| format!("{store} = \"{store}\""));
    let keeper = format!("keyvalue = {{ {} }}", buckets.join(", "));
    let gateway = gateway.guest_as("keeper", "keeps_keys", &keeper).start();
    daprd.start().await;
    gateway.ready().await;
    for store in STORES {
        etag_scenario(&gateway, store).await;
        versions_scenario(&gateway, store).await;
    }
    let gone = ["postgres", "postgres1", "redis"];
    for store in gone {
        put_price(&gateway, store, "POST", "", "3").await.is(204);
    }
    let mut etags = Vec::new();
    for store in gone {
        let shown = gateway.get(&format!("/{store}")).await.is(200);
        etags.push(shown.header("etag").unwrap().to_owned());
    }
    redis.kill();
    postgres.crash();
    for (store, etag) in gone.iter().zip(&etags) {
        // The sidecar's pool may have a connection that it does not know to be dead, so more than once.
        for method in ["PUT", "PATCH", "DELETE", "PUT", "PATCH", "DELETE", "POST"] {
            let reply = put_price(&gateway, store, method, etag, "4").await;
            let status = reply.status.as_u16();
            assert!(
                [503, 504].contains(&status),
                "{store}: {method} is {status}: {}",
                gateway.log()
            );
        }
    }
    redis.restart().await;
    postgres.restart().await;
    for (store, etag) in gone.iter().zip(&etags) {
        until(&format!("{store} to be back"), async || {
            gateway.get(&format!("/{store}")).await.status == 200
        })
        .await;
        put_price(&gateway, store, "PUT", etag, "4").await.is(204);
    }
}
