//! The costs of one request in things that do not depend on the machine: allocations, page faults, system calls and
//! instructions, for hello in WASI 0.2 and 0.3, for reading a key of a state store, and for a package behind a snapshot
//! of its start-up, which takes milliseconds; and for hello in other languages, of which `loadtest/build-languages`
//! makes the components.
//!
//! The figures on record are in `recorded.toml`. A measure that grew beyond its tolerance in every attempt fails the
//! test by name; set `RECORD_COSTS=1` to put today's figures on record. System calls need `strace` and instructions
//! `valgrind`; where a tool is missing the measure is left out with a word.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod in_process;
mod outside;
mod record;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use record::Measured;
use wasmgate_real_dapr::left_out;

/// A request whose cost is on record.
pub(crate) struct Scenario {
    /// Its table in `recorded.toml`.
    pub(crate) name: &'static str,
    /// Its path and query.
    pub(crate) target: &'static str,
    /// It is of another language: its component has the scenario's name, and is made by that language's own tools.
    pub(crate) is_foreign: bool,
}

const SCENARIOS: [Scenario; 8] = [
    Scenario::of("hello", "/hello"),
    Scenario::of("hello-0-3", "/p3-hello"),
    Scenario::of(
        "state-get",
        "/calls-out?to=http://localhost:3500/v1.0/state/statestore/key",
    ),
    Scenario::of("snapshot", "/starts-up?n=1000"),
    Scenario::foreign("javascript"),
    Scenario::foreign("hono"),
    Scenario::foreign("python"),
    Scenario::foreign("go"),
];

impl Scenario {
    const fn of(name: &'static str, target: &'static str) -> Self {
        Self {
            name,
            target,
            is_foreign: false,
        }
    }

    const fn foreign(name: &'static str) -> Self {
        Self {
            is_foreign: true,
            ..Self::of(name, "/you")
        }
    }

    /// Returns whether its component is there.
    fn is_there(&self) -> bool {
        let component = foreign(self.name);
        let is_there = !self.is_foreign || component.exists();
        if !is_there {
            left_out(format_args!(
                "the costs of {}: `loadtest/build-languages` makes {}",
                self.name,
                component.display()
            ));
        }
        is_there
    }
}

/// The number of times that a scenario is measured while a cost exceeds its record; the least value counts.
const ATTEMPTS: usize = 4;

/// The argument with which this program calls itself under valgrind: a scenario's name and a number of requests.
const ONLY_REQUESTS: &str = "--only-requests";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, name, count] = arguments.as_slice()
        && flag == ONLY_REQUESTS
    {
        let scenario = SCENARIOS
            .iter()
            .find(|scenario| scenario.name == name)
            .expect("a scenario");
        return in_process::requests(scenario, count.parse().expect("a number"));
    }
    let mut grown = Vec::new();
    let mut record = record::Record::read();
    let scenarios = SCENARIOS.iter().filter(|scenario| scenario.is_there());
    let mut measured_ones = 0;
    for scenario in scenarios {
        let folder = tempfile::tempdir().unwrap();
        write_configuration(scenario, folder.path());
        let mut measured = measure(scenario, folder.path());
        // Other processes can only add to a cost: a request that has to wait yields, and is woken again.
        for _ in 1..ATTEMPTS {
            if record.grown(scenario.name, &measured).is_empty() {
                break;
            }
            for (least, (_, again)) in measured.iter_mut().zip(measure(scenario, folder.path())) {
                least.1 = least.1.min(again);
            }
        }
        grown.extend(record.grown(scenario.name, &measured));
        record.set(scenario.name, &measured);
        measured_ones += 1;
    }
    record.write_if_asked();
    assert!(
        grown.is_empty(),
        "costs grew; if that is worth it, record them with RECORD_COSTS=1:\n{}",
        grown.join("\n")
    );
    println!("test result: ok. {measured_ones} passed; 0 failed");
}

/// All costs of a scenario.
fn measure(scenario: &Scenario, folder: &Path) -> Measured {
    let mut measured = in_process::measure(scenario, folder);
    measured.extend(outside::system_calls(scenario, folder));
    // An engine of some megabytes would be compiled anew for the processor that valgrind imitates.
    if !scenario.is_foreign {
        measured.extend(outside::instructions(scenario));
    }
    measured
}

/// A gateway with one package for each scenario, or for one that is of another language.
pub(crate) fn write_configuration(scenario: &Scenario, folder: &Path) {
    let packages = if scenario.is_foreign {
        format!(
            "[package.you]\nsource = \"{}\"\n[[route]]\npath = \"/you\"\npackage = \"you\"\n",
            foreign(scenario.name).display()
        )
    } else {
        own_packages()
    };
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = 1
compile_memory = "6GiB"
compile_timeout = "10m"
cache = "{cache}"
{packages}"#,
        cache = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("costs-compiled")
            .display(),
    );
    std::fs::write(folder.join("wasmgate.toml"), text).unwrap();
}

/// A package for each scenario that is ours.
fn own_packages() -> String {
    let guest = |name: &str| guests().join(format!("{name}.wasm")).display().to_string();
    format!(
        r#"
[package.hello]
source = "{hello}"
[package.p3-hello]
source = "{p3_hello}"
[package.calls-out]
source = "{calls_out}"
dapr = {{ state = ["statestore"] }}
[package.starts-up]
source = "{starts_up}"
snapshot = true
[[route]]
path = "/hello"
package = "hello"
[[route]]
path = "/p3-hello"
package = "p3-hello"
[[route]]
path = "/calls-out"
package = "calls-out"
[[route]]
path = "/starts-up"
package = "starts-up"
"#,
        hello = guest("hello"),
        p3_hello = guest("p3_hello"),
        calls_out = guest("calls_out"),
        starts_up = guest("starts_up"),
    )
}

/// The component of a scenario that is of another language.
fn foreign(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join(format!("languages/{name}.wasm"))
}

/// The test guests, built if need be.
fn guests() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--examples",
            "--target",
            "wasm32-wasip2",
        ])
        .args(["--package", "wasmgate-test-guests", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success(), "the test guests do not build");
    target.join("wasm32-wasip2/release/examples")
}
