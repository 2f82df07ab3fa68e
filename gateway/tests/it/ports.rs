//! Addresses to listen on: taken, forbidden, overridden.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;
use wasmgate_real_dapr::{Place, left_out};

use crate::harness::{TestGateway, command, output_of, run};

fn folder_with_hello() -> TempDir {
    let folder = TempDir::new().unwrap();
    let toml = TestGateway::builder().guest("hello").toml();
    std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
    folder
}

#[track_caller]
fn assert_cannot_listen(output: &Output, address: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code != 0), "{told}");
    assert!(
        told.contains(address),
        "nothing about {address} in:\n{told}"
    );
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--admin"] {
        let folder = folder_with_hello();
        assert_cannot_listen(&run(folder.path(), &["up", option, &address]), &address);
    }
}

#[test]
fn two_gateways_cannot_share_a_port() {
    let first = TestGateway::builder().guest("hello").start();
    for (option, address) in [("--listen", first.address), ("--admin", first.admin)] {
        let (folder, address) = (folder_with_hello(), address.to_string());
        assert_cannot_listen(&run(folder.path(), &["up", option, &address]), &address);
    }
}

#[test]
fn both_listeners_on_one_port_are_refused() {
    let place = Place::new();
    let free = place.at(3000).to_string();
    let folder = folder_with_hello();
    let output = run(folder.path(), &["up", "--listen", &free, "--admin", &free]);
    assert_cannot_listen(&output, &free);
}

#[test]
fn a_mistake_of_the_command_line_is_told_as_its_own() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::new();
    let (free, taken) = (
        place.at(3000).to_string(),
        taken.local_addr().unwrap().to_string(),
    );
    let of_file = format!("admin = \"{free}\"");
    for (arguments, code, words) in [
        (
            ["--listen", &taken, "--admin", "127.0.0.1:0"],
            69,
            format!("--listen: cannot listen on {taken}"),
        ),
        (
            ["--listen", &free, "--admin", &free],
            64,
            format!("--admin ({free}) and --listen ({free}) take the same port"),
        ),
    ] {
        let folder = folder_with_hello();
        let output = run(folder.path(), &[&["up"][..], &arguments].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(
            told.contains(&words) && told.contains("1 mistake in the command line"),
            "{told}"
        );
        assert!(!told.contains("wasmgate.toml"), "{told}");
    }
    // The other one is the file's.
    let folder = folder_with_hello();
    let file = folder.path().join("wasmgate.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, toml.replace("admin = \"127.0.0.1:0\"", &of_file)).unwrap();
    let output = run(folder.path(), &["up", "--listen", &free]);
    let told = String::from_utf8_lossy(&output.stderr);
    let words = format!("server.admin ({free}) and --listen ({free}) take the same port");
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains(&words), "{told}");
}

#[test]
fn an_address_of_another_machine_is_named() {
    // TEST-NET-1 (RFC 5737): nobody's own address.
    let folder = folder_with_hello();
    assert_cannot_listen(
        &run(folder.path(), &["up", "--listen", "192.0.2.1:3000"]),
        "192.0.2.1:3000",
    );
}

#[test]
fn a_privileged_port_is_named() {
    const PORT: u16 = 81;
    let lowest = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if lowest.is_ok_and(|port| port.trim().parse().is_ok_and(|port: u16| port <= PORT)) {
        left_out(format_args!(
            "port {PORT} is open to everybody on this machine"
        ));
        return;
    }
    let (folder, address) = (folder_with_hello(), format!("127.0.0.1:{PORT}"));
    let output = output_of(without_privilege(
        folder.path(),
        &["up", "--listen", &address],
    ));
    assert_cannot_listen(&output, &address);
}

/// The gateway without the right to privileged ports, whoever runs the tests.
fn without_privilege(folder: &Path, arguments: &[&str]) -> Command {
    let gateway = command(folder, arguments);
    let mut command = Command::new("setpriv");
    command
        .args([
            "--bounding-set=-net_bind_service",
            "--inh-caps=-net_bind_service",
        ])
        .arg(gateway.get_program())
        .args(gateway.get_args())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Without root there is no privilege to drop, and no right to drop it either.
    if is_root() { command } else { gateway }
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

#[tokio::test]
async fn the_command_line_overrides_the_file() {
    let toml = TestGateway::builder()
        .guest("hello")
        .toml()
        .replace("listen = \"127.0.0.1:0\"", "listen = \"192.0.2.1:1\"")
        .replace("admin = \"127.0.0.1:0\"", "admin = \"192.0.2.1:2\"");
    let arguments = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let gateway = TestGateway::start_with(&toml, &arguments);
    assert_eq!(gateway.get("/hello").await.status, 200);
    assert_eq!(gateway.admin_get("/readyz").await.status, 200);
    assert_ne!(
        gateway.address.port(),
        0,
        "the bound port is told, not the asked one"
    );
}

#[test]
fn workers_that_cannot_all_start_end_the_start_with_a_word() {
    /// Enough for the listeners of some workers; for those of all and not for their event queues.
    const DESCRIPTORS: [u32; 2] = [24, 96];
    for descriptors in DESCRIPTORS {
        assert_cannot_start(descriptors);
    }
}

/// Starts more workers than this many descriptors are enough for.
fn assert_cannot_start(descriptors: u32) {
    let folder = TempDir::new().unwrap();
    let toml = TestGateway::builder().server("workers = 40").guest("hello");
    std::fs::write(folder.path().join("wasmgate.toml"), toml.toml()).unwrap();
    let gateway = command(folder.path(), &["up"]);
    let mut limited = Command::new("sh");
    limited
        .arg("-c")
        .arg(format!("ulimit -n {descriptors}; exec \"$0\" up"))
        .arg(gateway.get_program())
        .current_dir(folder.path())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = output_of(limited);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(71), "{told}");
    assert!(told.contains("the gateway cannot start"), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    assert!(output.stdout.is_empty(), "it said where it listens");
}
