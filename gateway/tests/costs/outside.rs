//! Counts that only an outsider can take: system calls of the whole gateway over a socket, and instructions.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};
use wasmgate_real_dapr::left_out;

use crate::{ONLY_REQUESTS, Scenario, record::Measured};

/// Two runs of different lengths; their difference has no start and no end in it.
const SHORT: usize = 200;
const LONG: usize = 1_200;

/// The same under valgrind, which is fifty times slower.
const SHORT_INSTRUCTIONS: usize = 50;
const LONG_INSTRUCTIONS: usize = 250;

pub(crate) fn system_calls(scenario: &Scenario, folder: &Path) -> Measured {
    if !is_there("strace") {
        left_out(format_args!(
            "system calls of {}: strace is not there",
            scenario.name
        ));
        return Vec::new();
    }
    let count = |requests| {
        let report = folder.join("strace.txt");
        traced_gateway(scenario, folder, &report, requests);
        let text = std::fs::read_to_string(&report).unwrap();
        calls_in(&text)
    };
    let (short, long) = (count(SHORT), count(LONG));
    vec![("system_calls", (long - short) / (LONG - SHORT) as f64)]
}

/// The calls that a request makes; waits (`epoll_wait`, the ticker's sleep) depend on how busy the
/// gateway is and how long the run took.
fn calls_in(report: &str) -> f64 {
    let per_request = [
        "read",
        "recvfrom",
        "write",
        "writev",
        "sendto",
        "epoll_ctl",
        "ioctl",
        "madvise",
        "mprotect",
        "mmap",
        "munmap",
        "fcntl",
        "pread64",
        "pwrite64",
        "fsync",
    ];
    let rows = report
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let counted = rows.filter(|row| row.last().is_some_and(|name| per_request.contains(name)));
    counted.map(|row| row[3].parse::<f64>().unwrap()).sum()
}

fn traced_gateway(scenario: &Scenario, folder: &Path, report: &Path, requests: usize) {
    let mut strace = Command::new("strace")
        .args(["-f", "-c", "-o"])
        .arg(report)
        .arg(env!("CARGO_BIN_EXE_wasmgate"))
        .arg("up")
        .arg(folder.join("wasmgate.toml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(strace.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.rsplit_once("//").unwrap().1.to_owned();
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_nodelay(true).unwrap();
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        scenario.target
    );
    for _ in 0..requests {
        connection.write_all(request.as_bytes()).unwrap();
        read_response(&mut connection);
    }
    drop(connection);
    let gateway = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", strace.id())).unwrap();
    assert!(
        Command::new("kill")
            .args(["-TERM", gateway.trim()])
            .status()
            .unwrap()
            .success()
    );
    strace.wait().unwrap();
}

/// Reads one response with a length, or none at all.
fn read_response(connection: &mut TcpStream) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = connection.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "the connection closed");
        seen.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&seen);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse::<usize>().unwrap());
        if body.len() >= length {
            return;
        }
    }
}

pub(crate) fn instructions(scenario: &Scenario) -> Measured {
    if !is_there("valgrind") {
        left_out(format_args!(
            "instructions of {}: valgrind is not there",
            scenario.name
        ));
        return Vec::new();
    }
    let count = |requests: usize| {
        let output = Command::new("valgrind")
            .args([
                "--tool=callgrind",
                "--callgrind-out-file=/dev/null",
                "--smc-check=none",
            ])
            .arg(std::env::current_exe().unwrap())
            .args([ONLY_REQUESTS, scenario.name, &requests.to_string()])
            .output()
            .unwrap();
        if !output.status.success() {
            return None;
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let collected = text
            .lines()
            .find_map(|line| line.split_once("Collected : "));
        collected.and_then(|(_, number)| number.trim().parse::<f64>().ok())
    };
    // The processor that valgrind imitates is another one: this run compiles the packages for it.
    count(1);
    match (count(SHORT_INSTRUCTIONS), count(LONG_INSTRUCTIONS)) {
        (Some(short), Some(long)) => {
            vec![(
                "instructions",
                (long - short) / (LONG_INSTRUCTIONS - SHORT_INSTRUCTIONS) as f64,
            )]
        }
        _ => {
            left_out(format_args!(
                "instructions of {}: valgrind cannot run the gateway here",
                scenario.name
            ));
            Vec::new()
        }
    }
}

fn is_there(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}
