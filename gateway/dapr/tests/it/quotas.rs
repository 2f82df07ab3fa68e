//! What an app may keep that outlives its requests: counted exactly, refused in words, and given back.

mod events;
mod sizes;

use serde_json::{Value, json};
use wasmgate_dapr::{Dapr, Grants, Quota, Quotas, Settings};

use crate::{
    harness::{Apps, Kind, UNAVAILABLE, World, add_components, answer, app_id, eventually, start},
    parked::ONE_TRY,
};

const CODE: &str = "ERR_QUOTA_EXCEEDED";
const STATE: &str = "/v1.0/state/statestore";

/// No limits but those that `set` sets.
fn only(set: impl FnOnce(&mut Quotas)) -> Quotas {
    let unlimited = Quota {
        bytes: u64::MAX,
        items: u64::MAX,
    };
    let mut quotas = Quotas::default();
    for quota in [
        &mut quotas.state,
        &mut quotas.queue,
        &mut quotas.published,
        &mut quotas.jobs,
        &mut quotas.locks,
    ] {
        *quota = unlimited;
    }
    set(&mut quotas);
    quotas
}

/// A runtime in which every app has these quotas.
async fn world(apps: Apps, quotas: Quotas, files: &[(&str, &str)]) -> World {
    World::with(Kind::InProcess, apps, |settings| {
        settings.quotas = quotas;
        if !files.is_empty() {
            add_components(settings, files);
        }
    })
    .await
}

fn save(key: &str, bytes: usize) -> String {
    json!([{"key": key, "value": "x".repeat(bytes)}]).to_string()
}

async fn used(dapr: &Dapr, app: &str, quota: &str) -> u64 {
    let usage = dapr.usage().await;
    let found = usage
        .iter()
        .find(|of| of.app_id == app && of.quota == quota);
    found.map_or(0, |of| of.used)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_keeps_all_the_state_it_may_is_refused_in_words_until_it_deletes_some() {
    let quotas = only(|quotas| quotas.state.bytes = 3000);
    let world = world(Apps::default(), quotas, &[]).await;
    assert_eq!(world.call("POST", STATE, save("a", 1000)).await.status, 204);
    assert_eq!(world.call("POST", STATE, save("b", 1000)).await.status, 204);
    let refused = world.call("POST", STATE, save("c", 1000)).await;
    refused.fails(507, CODE);
    let message = refused.json()["message"].to_string();
    for word in ["shop", "state = 3000", "Delete some", "[package.shop.dapr]"] {
        assert!(message.contains(word), "{message}");
    }
    assert_eq!(
        world
            .call("GET", "/v1.0/state/statestore/c", "")
            .await
            .status,
        204
    );
    // A larger value in the place of a small one is refused too, a smaller one is not.
    world
        .call("POST", STATE, save("a", 2000))
        .await
        .fails(507, CODE);
    assert_eq!(world.call("POST", STATE, save("a", 10)).await.status, 204);
    assert_eq!(world.call("POST", STATE, save("c", 1000)).await.status, 204);
    let delete = format!("{STATE}/b");
    assert_eq!(world.call("DELETE", &delete, "").await.status, 204);
    assert_eq!(world.call("POST", STATE, save("d", 1000)).await.status, 204);
    // Its neighbour has an account of its own.
    let all = Grants::all();
    let neighbour = world.call_as("bar", &all, "POST", STATE, save("a", 2000));
    assert_eq!(neighbour.await.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_is_limited_in_its_number_too_and_a_transaction_is_refused_whole() {
    let quotas = only(|quotas| quotas.state.items = 3);
    let world = world(Apps::default(), quotas, &[]).await;
    let transact = |keys: &[&str], verb: &str| {
        let operations: Value = keys
            .iter()
            .map(|key| json!({"operation": verb, "request": {"key": key, "value": 1}}))
            .collect();
        let path = format!("{STATE}/transaction");
        let body = json!({"operations": operations}).to_string();
        let world = &world;
        async move { world.call("POST", &path, body).await }
    };
    transact(&["a", "b", "c", "d"], "upsert")
        .await
        .fails(507, CODE);
    assert_eq!(used(world.dapr(), "shop", "state_items").await, 0);
    assert_eq!(transact(&["a", "b", "c"], "upsert").await.status, 204);
    assert_eq!(transact(&["a", "b"], "upsert").await.status, 204);
    assert_eq!(transact(&["a", "b"], "delete").await.status, 204);
    assert_eq!(used(world.dapr(), "shop", "state_items").await, 1);
    let many: Value = (0..9)
        .map(|n| json!({"key": n.to_string(), "value": n}))
        .collect();
    world
        .call("POST", STATE, many.to_string())
        .await
        .fails(507, CODE);
    assert_eq!(used(world.dapr(), "shop", "state_items").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_makes_room_when_room_is_needed() {
    let quotas = only(|quotas| quotas.state.items = 2);
    let world = world(Apps::default(), quotas, &[]).await;
    for key in ["a", "b"] {
        let body = json!([{"key": key, "value": 1, "metadata": {"ttlInSeconds": "1"}}]);
        assert_eq!(
            world.call("POST", STATE, body.to_string()).await.status,
            204
        );
    }
    world
        .call("POST", STATE, save("c", 1))
        .await
        .fails(507, CODE);
    eventually("there is room again", || async {
        world.call("POST", STATE, save("c", 1)).await.status == 204
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_state_counts_for_who_wrote_it_last() {
    const SHARED: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.sqlite, version: v1, metadata: [{name: keyPrefix, value: none}]}
";
    let world = world(Apps::default(), Quotas::default(), &[("all.yaml", SHARED)]).await;
    assert_eq!(world.call("POST", STATE, save("k", 1000)).await.status, 204);
    let first = used(world.dapr(), "shop", "state").await;
    assert!(first > 1000);
    let all = Grants::all();
    let other = world.call_as("bar", &all, "POST", STATE, save("k", 500));
    assert_eq!(other.await.status, 204);
    assert_eq!(used(world.dapr(), "shop", "state").await, 0);
    assert_eq!(used(world.dapr(), "bar", "state").await, first - 500);
    let deleted = world.call("DELETE", "/v1.0/state/statestore/k", "").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(world.dapr().usage().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_and_locks_are_limited_and_given_back() {
    let apps = Apps::default();
    apps.set("shop", |_| answer(404, ""));
    let quotas = only(|quotas| {
        quotas.jobs = Quota {
            bytes: 2000,
            items: 2,
        };
        quotas.locks.items = 1;
    });
    let world = world(apps, quotas, &[]).await;
    let schedule = |name: &str, data: usize| {
        let job = json!({"dueTime": "2099-01-01T00:00:00Z", "data": "x".repeat(data), "overwrite": true});
        let (world, path) = (&world, format!("/v1.0/jobs/{name}"));
        async move { world.call("POST", &path, job.to_string()).await }
    };
    assert_eq!(schedule("a", 1).await.status, 204);
    assert_eq!(schedule("b", 1).await.status, 204);
    let refused = schedule("c", 1).await;
    refused.fails(507, CODE);
    assert!(refused.json()["message"].to_string().contains("jobs = 2"));
    schedule("a", 2000).await.fails(507, CODE);
    assert_eq!(schedule("a", 500).await.status, 204);
    assert_eq!(world.call("DELETE", "/v1.0/jobs/b", "").await.status, 204);
    assert_eq!(schedule("c", 1).await.status, 204);

    let claim = |resource: &str| json!({"resourceId": resource, "lockOwner": "me", "expiryInSeconds": 60}).to_string();
    let lock = "/v1.0-alpha1/lock/lockstore";
    assert_eq!(world.call("POST", lock, claim("a")).await.status, 200);
    world.call("POST", lock, claim("b")).await.fails(507, CODE);
    let unlocked = world.call("POST", "/v1.0-alpha1/unlock/lockstore", claim("a"));
    assert_eq!(unlocked.await.status, 200);
    assert_eq!(world.call("POST", lock, claim("b")).await.status, 200);
}

fn subscription(topic: &str, dead_letters: Option<&str>) -> Value {
    json!([{"pubsubname": "pubsub", "topic": topic, "route": "/t", "deadLetterTopic": dead_letters}])
}

/// Counts what is in the database, row by row, as the accounts should have it.
fn recounted(world: &World) -> Vec<(String, String, i64, i64)> {
    const ROWS: &str = "
SELECT app_id, 'jobs' AS kind, sum(length(cast(name AS BLOB)) + length(cast(spec AS BLOB)) + 128), count(*)
  FROM job GROUP BY app_id
UNION ALL SELECT app_id, 'locks', sum(length(cast(resource AS BLOB)) + length(cast(owner AS BLOB)) + 128), count(*)
  FROM lock GROUP BY app_id
UNION ALL SELECT app_id, 'queue', sum(bytes), count(*) FROM delivery WHERE app_id != '' GROUP BY app_id
UNION ALL SELECT publisher, 'published', sum(bytes), count(*) FROM delivery
  WHERE due_at != 9223372036854775807 GROUP BY publisher
UNION ALL SELECT app_id, 'state', sum(length(cast(key AS BLOB)) + length(cast(value AS BLOB)) + 128), count(*)
  FROM state GROUP BY app_id
ORDER BY 1, 2";
    rows(world, ROWS)
}

fn rows(world: &World, sql: &str) -> Vec<(String, String, i64, i64)> {
    let conn = rusqlite::Connection::open(world.folder.path().join("data/dapr.db")).unwrap();
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounts_are_what_a_count_of_all_rows_finds_whatever_was_done() {
    let apps = Apps::default();
    apps.set("shop", |_| answer(404, ""));
    apps.subscribe(
        "kitchen",
        subscription("orders", Some("dead")),
        |received| match received.json()["data"].as_str().unwrap_or_default().len() % 3 {
            0 => answer(200, ""),
            1 => answer(500, ""),
            _ => answer(UNAVAILABLE.as_u16(), ""),
        },
    );
    let quotas = only(|quotas| {
        quotas.state.bytes = 20_000;
        quotas.queue.items = 20;
        quotas.jobs.items = 5;
        quotas.locks.items = 5;
    });
    let world = world(
        apps,
        quotas,
        &[("all.yaml", &format!("{ONE_TRY}---\n{STORES}"))],
    )
    .await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut refused = 0;
    for _ in 0..400 {
        let (key, bytes) = (random.u8(..12).to_string(), random.usize(..3000));
        let app = ["shop", "kitchen"][random.usize(..2)];
        let (method, path, body) = match random.u8(..8) {
            0..2 => ("POST", STATE.to_owned(), save(&key, bytes)),
            2 => ("DELETE", format!("{STATE}/{key}"), String::new()),
            3 => {
                let job = json!({"dueTime": "2099-01-01T00:00:00Z", "data": "ü".repeat(bytes), "overwrite": true});
                ("POST", format!("/v1.0/jobs/{key}"), job.to_string())
            }
            4 => ("DELETE", format!("/v1.0/jobs/{key}"), String::new()),
            5 => {
                let claim = json!({"resourceId": key, "lockOwner": "x".repeat(bytes % 9 + 1), "expiryInSeconds": 1});
                (
                    "POST",
                    "/v1.0-alpha1/lock/lockstore".to_owned(),
                    claim.to_string(),
                )
            }
            _ => (
                "POST",
                format!("/v1.0/publish/pubsub/orders?metadata.n={key}"),
                json!("x".repeat(bytes)).to_string(),
            ),
        };
        let answer = world
            .call_as(app, &Grants::all(), method, &path, body)
            .await;
        refused += usize::from(answer.status == 507);
        assert!(
            answer.status < 300 || answer.status == 507,
            "{method} {path}: {answer:?}"
        );
    }
    assert!(refused > 10, "{refused}");
    world
        .dapr()
        .release_parked(Default::default())
        .await
        .unwrap();
    world.dapr().stop().await;
    let accounts = rows(
        &world,
        "SELECT app_id, kind, bytes, items FROM usage WHERE items > 0 ORDER BY 1, 2",
    );
    assert_eq!(accounts, recounted(&world));
    assert!(accounts.len() > 5, "{accounts:?}");
    let empty = rows(
        &world,
        "SELECT app_id, kind, bytes, items FROM usage WHERE items = 0 AND bytes != 0",
    );
    assert_eq!(empty, []);
}

const STORES: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.sqlite, version: v1, metadata: [{name: keyPrefix, value: none}]}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: lockstore}
spec: {type: lock.in-memory, version: v1}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_has_its_own_quotas_before_those_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        data: folder.path().join("data"),
        quotas: only(|quotas| quotas.state.items = 1),
        ..Settings::default()
    };
    let dapr = start(settings, &Apps::default()).await;
    let grants = Grants {
        quotas: Some(only(|quotas| quotas.state.items = 2)),
        ..Grants::all()
    };
    dapr.refresh(app_id("large"), grants).await;
    for (app, expected) in [("small", [204, 507, 507]), ("large", [204, 204, 507])] {
        for (n, expected) in expected.into_iter().enumerate() {
            let request = http::Request::post(STATE)
                .body(save(&n.to_string(), 1).into())
                .unwrap();
            let answer = dapr.call(&app_id(app), &Grants::all(), request).await;
            assert_eq!(answer.status(), expected, "{app} {n}");
        }
    }
}
