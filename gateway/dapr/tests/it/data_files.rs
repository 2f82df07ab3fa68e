//! Data files of other versions and of other programs, and broken ones: each is taken over or left as it is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use tempfile::TempDir;
use wasmgate_dapr::{Dapr, DataError, Grants, OpenError, Settings, backup, restore};

use crate::harness::{Answer, Apps, answer, app_id, start, whole};

/// What the first versions wrote; `{METADATA}` is what the second layout added.
const OLD: &str = "
PRAGMA journal_mode = WAL;
CREATE TABLE sequence (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO sequence VALUES ('etag', 7);
CREATE TABLE state (
  store TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, etag INTEGER NOT NULL,
  expires_at INTEGER, PRIMARY KEY (store, key));
CREATE INDEX state_expiry ON state (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL, pubsub TEXT NOT NULL,
  topic TEXT NOT NULL, data BLOB NOT NULL, content_type TEXT NOT NULL, raw INTEGER NOT NULL,
  traceparent TEXT, tracestate TEXT, attempts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, expires_at INTEGER{METADATA});
CREATE INDEX delivery_due ON delivery (app_id, pubsub, topic, due_at, id);
CREATE TABLE subscription (
  app_id TEXT NOT NULL, pubsub TEXT NOT NULL, topic TEXT NOT NULL, spec TEXT NOT NULL,
  PRIMARY KEY (app_id, pubsub, topic)) WITHOUT ROWID;
CREATE TABLE lock (
  store TEXT NOT NULL, resource TEXT NOT NULL, owner TEXT NOT NULL, expires_at INTEGER NOT NULL,
  PRIMARY KEY (store, resource)) WITHOUT ROWID;
CREATE TABLE job (
  app_id TEXT NOT NULL, name TEXT NOT NULL, spec TEXT NOT NULL, due_at INTEGER NOT NULL,
  fired INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL, expires_at INTEGER, PRIMARY KEY (app_id, name));
CREATE INDEX job_due ON job (due_at);
INSERT INTO sequence VALUES ('job', 1);

INSERT INTO state VALUES ('statestore', 'shop||k', '\"kept\"', 7, NULL);
INSERT INTO state VALUES ('statestore', 'no-prefix', '\"nobody''s\"', 6, NULL);
INSERT INTO delivery (app_id, pubsub, topic, data, content_type, raw, created_at, due_at)
  VALUES ('kitchen', 'pubsub', 'orders', CAST('{\"id\":\"1\",\"specversion\":\"1.0\",\"source\":\"s\",\"type\":\"t\",\"data\":5}' AS BLOB),
    'application/json', 0, 1, 1);
INSERT INTO subscription VALUES ('kitchen', 'pubsub', 'orders', '{\"pubsubname\":\"pubsub\",\"topic\":\"orders\",\"route\":\"/t\"}');
INSERT INTO lock VALUES ('lockstore', 'shop||door', 'me', 4102444800000);
INSERT INTO job VALUES ('shop', 'nightly', '{\"dueTime\":\"2099-01-01T00:00:00Z\"}', 4070908800000, 0, 0, 1, NULL);
";

/// A data folder with what an older version wrote.
fn written_by(layout: i64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let metadata = if layout == 1 { "" } else { ", metadata TEXT" };
    let connection = rusqlite::Connection::open(folder.path().join("dapr.db")).unwrap();
    connection
        .execute_batch(&OLD.replace("{METADATA}", metadata))
        .unwrap();
    connection
        .pragma_update(None, "user_version", layout)
        .unwrap();
    make_private(folder.path());
    folder
}

/// A data folder of this version, with some state in it.
async fn of_today() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let dapr = start(settings(folder.path()), &Apps::default()).await;
    for n in 0..50 {
        let body = json!([{"key": n.to_string(), "value": "x".repeat(2000)}]);
        let saved = call(&dapr, "POST", "/v1.0/state/statestore", &body.to_string()).await;
        assert_eq!(saved.status, 204);
    }
    dapr.stop().await;
    drop(dapr);
    folder
}

fn make_private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn settings(data: &Path) -> Settings {
    Settings {
        data: data.to_owned(),
        ..Settings::default()
    }
}

async fn call(dapr: &Dapr, method: &str, path: &str, body: &str) -> Answer {
    let request = http::Request::builder().method(method).uri(path);
    let request = request.body(body.to_owned().into()).unwrap();
    whole(dapr.call(&app_id("shop"), &Grants::all(), request).await).await
}

/// The bytes of the database and of its log, if there is one.
fn bytes_in(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = ["dapr.db", "dapr.db-wal"].map(|name| folder.join(name));
    let there = files.into_iter().filter(|path| path.exists());
    there
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// Opens what cannot be used and answers with what is said of it; nothing may have changed.
fn refused(folder: &Path) -> String {
    let before = bytes_in(folder);
    let opened = Dapr::open(settings(folder));
    let said = match opened {
        Ok(_) => panic!("it was opened"),
        Err(OpenError::Data(error @ DataError::Database { .. })) => error.to_string(),
        Err(other) => panic!("{other}"),
    };
    let after = bytes_in(folder);
    for (path, bytes) in &before {
        assert!(
            after.get(path) == Some(bytes),
            "{} has changed: {said}",
            path.display()
        );
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_older_versions_are_taken_over_with_all_that_is_in_them() {
    for layout in [1, 2] {
        let folder = written_by(layout);
        let apps = Apps::default();
        apps.set("shop", |_| answer(404, ""));
        let list = json!([{"pubsubname": "pubsub", "topic": "orders", "route": "/t"}]);
        apps.subscribe("kitchen", list, |_| answer(200, ""));
        let dapr = Dapr::open(settings(folder.path())).unwrap();
        let usage = dapr.usage().await;
        let used: Vec<_> = usage
            .iter()
            .map(|of| (of.app_id.as_str(), of.quota, of.used))
            .collect();
        for item in ["queue_events", "state_items", "jobs"] {
            assert!(
                used.iter().any(|of| of.1 == item && of.2 == 1),
                "layout {layout}: {used:?}"
            );
        }
        // 7 bytes of the key, 6 of the value, and what counts for each thing.
        assert!(
            used.contains(&("shop", "state", 7 + 6 + 128)),
            "layout {layout}: {used:?}"
        );
        drop(dapr);

        let dapr = start(settings(folder.path()), &apps).await;
        let found = call(&dapr, "GET", "/v1.0/state/statestore/k", "").await;
        assert_eq!(
            (found.status, found.header("etag")),
            (200, "7"),
            "layout {layout}"
        );
        assert_eq!(found.json(), "kept");
        assert_eq!(
            call(&dapr, "GET", "/v1.0/jobs/nightly", "").await.status,
            200
        );
        let claim = r#"{"resourceId":"door","lockOwner":"you","expiryInSeconds":1}"#;
        let locked = call(&dapr, "POST", "/v1.0-alpha1/lock/lockstore", claim).await;
        assert_eq!(locked.json(), json!({"success": false}), "layout {layout}");
        let event = apps.wait("kitchen", "/t", 1).await;
        assert_eq!(event[0].json()["data"], 5);
        // What is taken away is taken off the account, although nobody had written down whose it is.
        for (method, path) in [
            ("DELETE", "/v1.0/state/statestore/k"),
            ("DELETE", "/v1.0/jobs/nightly"),
        ] {
            assert_eq!(call(&dapr, method, path, "").await.status, 204);
        }
        crate::harness::eventually("nothing is kept", || async {
            dapr.usage().await.is_empty()
        })
        .await;
        dapr.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_newer_version_is_refused_and_not_a_byte_of_it_is_changed() {
    let folder = of_today().await;
    let path = folder.path().join("dapr.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    connection
        .pragma_update(None, "user_version", version + 1)
        .unwrap();
    // As after kill -9: what was written last is in the log alone.
    let killed = tempfile::tempdir().unwrap();
    for name in ["dapr.db", "dapr.db-wal"] {
        fs::copy(folder.path().join(name), killed.path().join(name)).unwrap();
    }
    drop(connection);
    make_private(killed.path());
    assert!(
        fs::metadata(killed.path().join("dapr.db-wal"))
            .unwrap()
            .len()
            > 0
    );
    for folder in [folder.path(), killed.path()] {
        let said = refused(folder);
        for word in [
            format!("version {}", version + 1),
            format!("knows version {version}"),
            "start the version of this program that wrote it".to_owned(),
        ] {
            assert!(said.contains(&word), "{said}");
        }
    }
    // The newer version still finds all of it.
    let connection = rusqlite::Connection::open(killed.path().join("dapr.db")).unwrap();
    let items: i64 = connection
        .query_row("SELECT count(*) FROM state", [], |row| row.get(0))
        .unwrap();
    assert_eq!(items, 50);
}

#[test]
fn a_database_of_another_program_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("dapr.db")).unwrap();
    connection
        .execute_batch("CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')")
        .unwrap();
    drop(connection);
    make_private(folder.path());
    let said = refused(folder.path());
    assert!(
        said.contains("another program") && said.contains("name another folder"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_cut_off_anywhere_is_refused_and_left_as_it_is() {
    for folder in [of_today().await, written_by(2)] {
        let path = folder.path().join("dapr.db");
        let whole = fs::read(&path).unwrap();
        assert!(whole.len() > 8192, "{}", whole.len());
        let lengths = (1..whole.len())
            .step_by(4096)
            .chain((4096..whole.len()).step_by(4096));
        for length in lengths.chain([20, 100, 511, 512, whole.len() - 512, whole.len() - 1]) {
            println!("cut off after {length}");
            fs::write(&path, &whole[..length]).unwrap();
            let said = refused(folder.path());
            assert!(said.contains("restore a backup"), "{length}: {said}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(Dapr::open(settings(folder.path())).is_ok());
    }
}

#[test]
fn a_damaged_file_of_an_older_version_is_not_made_worse_by_an_upgrade() {
    let folder = written_by(2);
    let path = folder.path().join("dapr.db");
    let mut bytes = fs::read(&path).unwrap();
    for byte in &mut bytes[4096 * 2..] {
        *byte = 0xff;
    }
    fs::write(&path, &bytes).unwrap();
    let said = refused(folder.path());
    assert!(said.contains("restore a backup"), "{said}");
}

/// Puts the copy in a folder of its own; answers with what is said of it if it is refused.
fn restored(copy: &Path) -> Result<(), String> {
    let elsewhere = tempfile::tempdir().unwrap();
    let restored = restore(elsewhere.path(), copy);
    let is_there = elsewhere.path().join("dapr.db").exists();
    assert_eq!(is_there, restored.is_ok());
    restored.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_with_what_this_program_does_not_put_there_is_refused_by_its_name() {
    let folder = of_today().await;
    let copy = folder.path().join("copy.db");
    for (change, words) in [
        (
            "CREATE TRIGGER more AFTER INSERT ON state BEGIN DELETE FROM lock; END",
            "its trigger more is not this program's",
        ),
        (
            "DROP TRIGGER state_gone; CREATE TRIGGER state_gone AFTER DELETE ON state BEGIN DELETE FROM usage; END",
            "its trigger state_gone is not as this program makes it",
        ),
        (
            "DROP TRIGGER state_kept",
            "its trigger state_kept is missing",
        ),
        (
            "CREATE VIEW kept_state AS SELECT * FROM state",
            "its view kept_state is not this program's",
        ),
        (
            "CREATE TABLE more (x)",
            "its table more is not this program's",
        ),
        (
            "ALTER TABLE job ADD COLUMN more TEXT",
            "its table job is not as this program makes it",
        ),
        ("DROP INDEX job_due", "its index job_due is missing"),
    ] {
        backup(folder.path(), &copy).unwrap();
        let connection = rusqlite::Connection::open(&copy).unwrap();
        connection.execute_batch(change).unwrap();
        drop(connection);
        let told = restored(&copy).unwrap_err();
        assert!(
            told.contains(words) && told.contains("copy.db"),
            "{change}: {told}"
        );
        fs::remove_file(&copy).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_any_layout_is_taken_as_this_program_made_it() {
    for folder in [written_by(1), written_by(2), of_today().await] {
        let copy = folder.path().join("copy.db");
        backup(folder.path(), &copy).unwrap();
        restored(&copy).unwrap();
    }
    // What only makes work cheap is made again where it is missing.
    let folder = of_today().await;
    let connection = rusqlite::Connection::open(folder.path().join("dapr.db")).unwrap();
    connection.execute_batch("DROP INDEX lock_expiry").unwrap();
    drop(connection);
    let copy = folder.path().join("copy.db");
    backup(folder.path(), &copy).unwrap();
    restored(&copy).unwrap();
}
