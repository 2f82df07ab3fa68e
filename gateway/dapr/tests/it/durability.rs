//! What survives: a killed process, a damaged file, a full or locked database.

use std::{
    io::{BufRead, BufReader},
    pin::pin,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use http::Method;
use serde_json::json;
use wasmgate_dapr::{Dapr, DataError, Grants, OpenError, Settings};

use crate::harness::{Apps, World, answer, app_id, eventually, start};

/// Set in the child process that is to be killed: where its data is.
const CHILD: &str = "WASMGATE_DAPR_TEST_CHILD";

fn subscriber() -> Apps {
    let apps = Apps::default();
    apps.set("app", |received| {
        match (&received.method, received.path.as_str()) {
            (&Method::GET, _) => answer(
                200,
                json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]),
            ),
            _ => answer(200, ""),
        }
    });
    apps
}

/// Not a test of its own: what the killed process does. It saves, publishes and schedules, and
/// says each number once all three are acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_works_until_it_is_killed() {
    let Ok(data) = std::env::var(CHILD) else {
        return;
    };
    let apps = Apps::default();
    apps.set("app", |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(
            200,
            json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]),
        ),
        // Every other event is taken here, the rest is left for the next process.
        _ if received.json()["data"].as_i64().unwrap() % 2 == 0 => answer(200, ""),
        _ => answer(crate::harness::UNAVAILABLE.as_u16(), ""),
    });
    // Who schedules jobs has to be somebody who takes them.
    apps.set("shop", |_| answer(404, ""));
    let dapr = start(
        Settings {
            data: data.into(),
            ..Settings::default()
        },
        &apps,
    )
    .await;
    let dapr = Arc::new(dapr);
    let work = (0..8).map(|lane| {
        let dapr = dapr.clone();
        tokio::spawn(async move {
            for n in (lane..).step_by(8) {
                for (path, body) in [
                    (
                        "/v1.0/state/statestore".to_owned(),
                        json!([{"key": n.to_string(), "value": n}]),
                    ),
                    ("/v1.0/publish/pubsub/t".to_owned(), json!(n)),
                    (
                        format!("/v1.0/jobs/{n}"),
                        json!({"dueTime": "2099-01-01T00:00:00Z", "overwrite": true}),
                    ),
                ] {
                    let request = http::Request::post(path)
                        .header("content-type", "application/json")
                        .body(body.to_string().into())
                        .unwrap();
                    let answer = dapr.call(&app_id("shop"), &Grants::all(), request).await;
                    assert_eq!(answer.status(), 204);
                }
                println!("acknowledged {n}");
            }
        })
    });
    futures_util::future::join_all(work).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut acknowledged = Vec::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "durability::child_that_works_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, &data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut new = 0;
        for line in lines {
            let Ok(line) = line else { break };
            let Some((_, number)) = line.split_once("acknowledged ") else {
                continue;
            };
            acknowledged.push(number.trim().parse::<i64>().unwrap());
            new += 1;
            if new == 40 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
    assert!(acknowledged.len() >= 240, "{}", acknowledged.len());
    accounts_are_exact(&data);

    let apps = subscriber();
    let dapr = start(
        Settings {
            data,
            ..Settings::default()
        },
        &apps,
    )
    .await;
    for n in &acknowledged {
        for path in [
            format!("/v1.0/state/statestore/{n}"),
            format!("/v1.0/jobs/{n}"),
        ] {
            let request = http::Request::get(&path)
                .body(wasmgate_dapr::Body::empty())
                .unwrap();
            let answer = dapr.call(&app_id("shop"), &Grants::all(), request).await;
            assert_eq!(answer.status(), 200, "{path}");
        }
    }
    eventually("every event is delivered", || async {
        dapr.queues().await.is_empty()
    })
    .await;
    let delivered: std::collections::HashSet<i64> = apps
        .wait("app", "/t", 1)
        .await
        .iter()
        .map(|sent| sent.json()["data"].as_i64().unwrap())
        .collect();
    // The even ones may have been taken before the kill.
    for n in acknowledged.iter().filter(|n| *n % 2 == 1) {
        assert!(delivered.contains(n), "event {n} is lost");
    }
}

/// The accounts that the killed process has left are what a count of all rows finds.
fn accounts_are_exact(data: &std::path::Path) {
    const COUNTED: &str = "
SELECT app_id, 'jobs', sum(octet_length(name) + octet_length(spec) + 128), count(*) FROM job GROUP BY app_id
UNION ALL SELECT publisher, 'published', sum(bytes), count(*) FROM delivery GROUP BY publisher
UNION ALL SELECT app_id, 'queue', sum(bytes), count(*) FROM delivery GROUP BY app_id
UNION ALL SELECT app_id, 'state', sum(octet_length(key) + octet_length(value) + 128), count(*) FROM state
  GROUP BY app_id
ORDER BY 1, 2";
    const KEPT: &str = "SELECT app_id, kind, bytes, items FROM usage WHERE items > 0 ORDER BY 1, 2";
    let connection = rusqlite::Connection::open(data.join("dapr.db")).unwrap();
    let rows = |sql: &str| -> Vec<(String, String, i64, i64)> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    };
    let kept = rows(KEPT);
    assert_eq!(kept, rows(COUNTED));
    assert_eq!(kept.len(), 4, "{kept:?}");
}

#[test]
fn a_damaged_database_is_an_error_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dapr.db");
    let garbage = vec![7; 8192];
    std::fs::write(&file, &garbage).unwrap();
    let opened = Dapr::open(Settings {
        data: folder.path().to_owned(),
        ..Settings::default()
    });
    assert!(matches!(
        opened,
        Err(OpenError::Data(DataError::Database { .. }))
    ));
    assert_eq!(std::fs::read(&file).unwrap(), garbage);
}

#[test]
fn a_data_folder_has_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        data: folder.path().to_owned(),
        ..Settings::default()
    };
    let first = Dapr::open(settings.clone()).unwrap();
    assert!(matches!(
        Dapr::open(settings.clone()),
        Err(OpenError::Data(DataError::InUse { .. }))
    ));
    drop(first);
    assert!(Dapr::open(settings).is_ok());
}

#[test]
fn a_data_folder_that_is_a_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("file");
    std::fs::write(&data, "x").unwrap();
    assert!(matches!(
        Dapr::open(Settings {
            data,
            ..Settings::default()
        }),
        Err(OpenError::Data(DataError::Folder { .. }))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_by_another_program_delays_writes_and_loses_none() {
    let world = World::in_process(Apps::default()).await;
    let file = world.folder.path().join("data/dapr.db");
    let other = rusqlite::Connection::open(file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let path = "/v1.0/state/statestore";
    let mut save = pin!(world.call("POST", path, r#"[{"key":"k","value":1}]"#));
    // It waits, and reads go on meanwhile.
    let early = tokio::time::timeout(Duration::from_millis(100), &mut save).await;
    assert!(early.is_err());
    let read = world.call("GET", "/v1.0/state/statestore/k", "").await;
    assert_eq!(read.status, 204);
    other.execute_batch("COMMIT").unwrap();
    let saved = save.await;
    assert_eq!(saved.status, 204);
}
