//! A gateway in a control group with a limit of memory, as in a container: it reads the limit, and refuses before the
//! kernel ends it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use futures_util::future::join_all;
use tempfile::TempDir;
use wasmgate_real_dapr::left_out;

use crate::{
    compiling::{MANY, write_component},
    harness::{TestGateway, command, until},
    reload::reload,
};

/// The group's limit: half of a pod's of deploy/base.
const LIMIT: u64 = 512 << 20;

/// What stays for the kernel of so little.
const RESERVE: u64 = 64 << 20;

/// Requests at once, and the mebibytes of each: more than three times the limit.
const REQUESTS: usize = 40;
const EACH: usize = 40;

/// A group with the limit, in either version of control groups; gone with its value.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let (parent, limit) = match root.join("memory").is_dir() {
            true => (root.join("memory"), "memory.limit_in_bytes"),
            false => (root.to_owned(), "memory.max"),
        };
        let group = Self(parent.join(format!("wasmgate-test-{}", std::process::id())));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(limit), LIMIT.to_string()).ok()?;
        Some(group)
    }

    /// The command, as a process of the group.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("sh");
        inside.args(["-c", r#"echo $$ > "$0" && exec "$@""#]);
        inside.arg(self.0.join("cgroup.procs"));
        inside.arg(command.get_program()).args(command.get_args());
        inside.current_dir(command.get_current_dir().unwrap());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        inside
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended; the kernel takes a moment to see it.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beyond_the_limit_of_a_container_are_refused_before_the_kernel_ends_the_gateway() {
    let Some(group) = Group::new() else {
        return left_out("it makes a control group, which is root's to do");
    };
    let folder = TempDir::new().unwrap();
    let builder = TestGateway::builder()
        .guest_with(
            "torments",
            "limits = { memory = \"64MiB\", timeout = \"20s\", concurrency = 500, queue = 0 }",
        )
        .guest("hello");
    builder.write_to(folder.path());
    let mut gateway = TestGateway::spawn(group.inside(&command(folder.path(), &["up"])));
    gateway.ready().await;
    let limit = gateway
        .metrics()
        .await
        .sum("wasmgate_memory_bytes", &[("state", "limit")]);
    assert_eq!(limit, (LIMIT - RESERVE) as f64);

    let attack = format!("/torments?do=memory&n={EACH}");
    let attacks = join_all((0..REQUESTS).map(|_| gateway.get(&attack)));
    let neighbour = async {
        for _ in 0..20 {
            // Refused for a moment, perhaps, but answered.
            let status = gateway.get("/hello").await.status;
            assert!(status == 200 || status == 503, "{status}");
        }
    };
    let (replies, ()) = tokio::join!(attacks, neighbour);
    let refused = replies.iter().filter(|reply| reply.status == 503).count();
    assert!(refused > 0, "so much cannot be in {LIMIT} bytes");
    until("there is memory again", || async {
        gateway.get("/hello").await.status == 200
    })
    .await;
    gateway.signal(crate::harness::Signal::Terminate);
    assert_eq!(gateway.ended().await.code(), Some(0), "it was killed");
    drop(gateway);
    drop(group);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_takes_more_than_the_container_has_is_refused_and_ends_nothing() {
    let Some(group) = Group::new() else {
        return left_out("it makes a control group, which is root's to do");
    };
    // As Kubernetes has it: whatever of a container is killed, all of it is.
    let _ = fs::write(group.0.join("memory.oom.group"), "1");
    let folder = TempDir::new().unwrap();
    let builder = TestGateway::builder().guest("hello");
    builder.write_to(folder.path());
    let mut gateway = TestGateway::spawn(group.inside(&command(folder.path(), &["up"]))).keeping(folder);
    gateway.ready().await;
    let heavy = gateway.folder().join("heavy.wasm");
    write_component(&heavy, MANY);
    builder
        .package("heavy", &heavy, "")
        .write_to(gateway.folder());
    let reply = reload(&gateway).await;
    assert_eq!(reply.status, 422);
    let told = reply.text();
    assert!(told.contains("left to the gateway"), "{told}");
    assert_eq!(gateway.get("/hello").await.status, 200);
    gateway.signal(crate::harness::Signal::Terminate);
    assert_eq!(gateway.ended().await.code(), Some(0), "it was killed");
    drop(gateway);
    drop(group);
}
