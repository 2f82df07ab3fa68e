//! Faults of the machine: no descriptors, no room on the disk, and a process that stands still.

use std::{
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Result;
use fastrand::Rng;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{Run, count};

/// The disk of the building blocks.
const DISK_MIB: usize = 32;

/// A fault is forgiven for this long after its end: the kernel's queue holds connections that were made meanwhile.
const FORGIVEN: Duration = Duration::from_secs(2);

/// Connections that say nothing while descriptors are short.
const IDLE: usize = 100;

/// Brings faults, with quiet times between them, until the run is over.
pub(super) async fn run(run: Arc<Run>, (pid, address): (u32, SocketAddr), disk: Option<PathBuf>, mut random: Rng) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    while !run.over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(random.u64(3000..6000))).await;
        run.forgiving.begin();
        for _ in 0..random.u32(1..4) {
            let time = Duration::from_millis(random.u64(50..400));
            let kind = match random.u8(0..3) {
                0 => short_of_descriptors(pid, address, time).await,
                1 => full_disk(disk.as_deref(), time).await,
                _ => stand_still(pid, time).await,
            };
            if let Some(kind) = kind {
                count(&run, kind);
            }
        }
        sleep(FORGIVEN).await;
        run.forgiving.end();
    }
}

async fn short_of_descriptors(pid: Pid, address: SocketAddr, time: Duration) -> Option<&'static str> {
    let open = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()))
        .ok()?
        .count();
    // Only the soft limit goes down, so that it can go up again.
    let own = rustix::process::getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(open as u64 + 2),
        maximum: own.maximum,
    };
    let before = prlimit(Some(pid), Resource::Nofile, few).ok()?;
    // Silent clients want those that are left.
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let connected = timeout(Duration::from_millis(10), TcpStream::connect(address));
        idle.extend(connected.await.ok().and_then(Result::ok));
    }
    sleep(time).await;
    drop(idle);
    let _ = prlimit(Some(pid), Resource::Nofile, before);
    Some("descriptors")
}

async fn full_disk(disk: Option<&Path>, time: Duration) -> Option<&'static str> {
    let filler = disk?.join("filler");
    let mut file = File::create(&filler).ok()?;
    while file.write_all(&[0; 4096]).is_ok() {}
    // Until what is stored needs room.
    sleep(time * 4).await;
    drop(file);
    fs::remove_file(filler).ok()?;
    Some("full disk")
}

async fn stand_still(pid: Pid, time: Duration) -> Option<&'static str> {
    kill_process(pid, Signal::STOP).ok()?;
    sleep(time).await;
    kill_process(pid, Signal::CONT).ok()?;
    Some("standstill")
}

/// A small disk of its own for the building blocks, if this user may mount one.
pub(super) struct Disk(Option<TempDir>);

impl Disk {
    pub(super) fn mount() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Ok(Self(Some(folder)));
        }
        eprintln!("no disk is filled: none may be mounted here");
        Ok(Self(None))
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(TempDir::path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(folder.path())
                .status();
        }
    }
}
