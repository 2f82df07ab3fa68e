//! A disk that is full or damaged, and files that other users could reach.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use wasmgate_dapr::{Dapr, DataError, OpenError, Settings};
use wasmgate_real_dapr::left_out;

use crate::harness::{Apps, Kind, World, eventually};

const STATE: &str = "/v1.0/state/statestore";

/// A file system in memory, taken away with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where there is no right to mount.
    fn mount(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap().keep();
        let options = format!("size={bytes},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&folder)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        left_out("there is no right to mount a small disk");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn saving(key: &str, bytes: usize) -> String {
    json!([{"key": key, "value": "x".repeat(bytes)}]).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_saves_are_507_and_work_again_once_there_is_room() {
    let Some(disk) = SmallDisk::mount(4 << 20) else {
        return;
    };
    let data = disk.0.join("data");
    let world = World::with(Kind::InProcess, Apps::default(), |settings| {
        settings.data = data;
    })
    .await;
    let first = world.call("POST", STATE, saving("kept", 1000)).await;
    assert_eq!(first.status, 204);
    std::fs::write(disk.0.join("filler"), vec![0; 2 << 20]).unwrap();
    let mut saved = Vec::new();
    let refused = loop {
        let key = format!("k{}", saved.len());
        let answer = world.call("POST", STATE, saving(&key, 200_000)).await;
        if answer.status != 204 {
            break answer;
        }
        saved.push(key);
        assert!(saved.len() < 100, "the disk is never full");
    };
    refused.fails(507, "ERR_STATE_SAVE");
    std::fs::remove_file(disk.0.join("filler")).unwrap();
    let again = world.call("POST", STATE, saving("again", 1000)).await;
    assert_eq!(again.status, 204, "{again:?}");
    for key in saved.iter().map(String::as_str).chain(["kept", "again"]) {
        let found = world.call("GET", &format!("{STATE}/{key}"), "").await;
        assert_eq!(found.status, 200, "{key} was acknowledged and is lost");
    }
}

#[tokio::test]
async fn what_would_be_written_into_a_file_that_was_taken_away_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (data, elsewhere) = (folder.path().join("data"), folder.path().join("elsewhere"));
    let world = World::with(Kind::InProcess, Apps::default(), |settings| {
        settings.data = data.clone();
    })
    .await;
    let save = |key: &str| world.call("POST", STATE, saving(key, 100));
    assert_eq!(save("before").await.status, 204);
    for file in ["dapr.db", "dapr.db-wal"] {
        let away = folder.path().join("away");
        std::fs::rename(data.join(file), &away).unwrap();
        save("while").await.fails(500, "ERR_STATE_SAVE");
        std::fs::write(data.join(file), "another").unwrap();
        save("while").await.fails(500, "ERR_STATE_SAVE");
        std::fs::rename(&away, data.join(file)).unwrap();
        assert_eq!(save("after").await.status, 204, "{file}");
    }
    std::fs::rename(&data, &elsewhere).unwrap();
    save("while").await.fails(500, "ERR_STATE_SAVE");
    std::fs::rename(&elsewhere, &data).unwrap();
    assert_eq!(save("after").await.status, 204);
    for (key, status) in [("before", 200), ("after", 200), ("while", 204)] {
        let found = world.call("GET", &format!("{STATE}/{key}"), "").await;
        assert_eq!(found.status, status, "{key}");
    }
}

/// Overwrites every page but the first ones, which opening needs.
fn damage(database: &Path) {
    use std::{fs::OpenOptions, os::unix::fs::FileExt};
    let connection = rusqlite::Connection::open(database).unwrap();
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(connection);
    let file = OpenOptions::new().write(true).open(database).unwrap();
    let bytes = file.metadata().unwrap().len();
    let from = 4096 * 40;
    assert!(bytes > from, "too few pages to damage");
    let garbage = vec![0xff; usize::try_from(bytes - from).unwrap()];
    file.write_all_at(&garbage, from).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_is_told_as_damage_and_never_as_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let with_data = |settings: &mut Settings| settings.data.clone_from(&data);
    let world = World::with(Kind::InProcess, Apps::default(), with_data).await;
    for n in 0..200 {
        let key = format!("k{n}");
        let saved = world.call("POST", STATE, saving(&key, 2000)).await;
        assert_eq!(saved.status, 204);
    }
    world.dapr().stop().await;
    drop(world);
    eventually("the data is given back", || async {
        !matches!(open(&data), Err(OpenError::Data(DataError::InUse { .. })))
    })
    .await;
    damage(&data.join("dapr.db"));
    let world = World::with(Kind::InProcess, Apps::default(), with_data).await;
    let mut told = Vec::new();
    for n in 0..200 {
        let key = format!("k{n}");
        let answers = [
            world.call("GET", &format!("{STATE}/{key}"), "").await,
            world.call("POST", STATE, saving(&key, 1)).await,
        ];
        told.extend(answers.into_iter().filter(|answer| answer.status >= 500));
    }
    assert!(!told.is_empty(), "no call has met a damaged page");
    for answer in told {
        assert_eq!(answer.status, 500, "{answer:?}");
        let message = answer.json()["message"].to_string();
        assert!(message.contains("damaged"), "{message}");
    }
}

fn open(data: &Path) -> Result<Dapr, OpenError> {
    Dapr::open(Settings {
        data: data.to_owned(),
        ..Settings::default()
    })
}

#[test]
fn nobody_else_can_read_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _open = open(&data).unwrap();
    let mut looked_at = vec![data.clone()];
    looked_at.extend(
        std::fs::read_dir(&data)
            .unwrap()
            .map(|entry| entry.unwrap().path()),
    );
    assert!(looked_at.len() > 2, "{looked_at:?}");
    for path in looked_at {
        let mode = std::fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
}

#[test]
fn data_that_others_could_have_prepared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        open(&data),
        Err(OpenError::Data(DataError::NotPrivate(_)))
    ));
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700)).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::fs::write(&elsewhere, "").unwrap();
    std::os::unix::fs::symlink(&elsewhere, data.join("dapr.db")).unwrap();
    assert!(matches!(
        open(&data),
        Err(OpenError::Data(DataError::NotPrivate(_)))
    ));
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"");
}
