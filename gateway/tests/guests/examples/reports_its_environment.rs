//! Answers what it sees of the outside: a line each for environment, arguments, files and clocks.
#![cfg(target_arch = "wasm32")]

use std::fmt::Write as _;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, serve};

serve!(handle);

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    let mut report = String::new();
    for (name, value) in wasip2::cli::environment::get_environment() {
        let _ = writeln!(report, "env {name}={value}");
    }
    for argument in wasip2::cli::environment::get_arguments() {
        let _ = writeln!(report, "argument {argument}");
    }
    if let Some(folder) = wasip2::cli::environment::initial_cwd() {
        let _ = writeln!(report, "folder {folder}");
    }
    for path in [
        "/",
        ".",
        "/etc/passwd",
        "/proc/self/environ",
        "wasmgate.toml",
    ] {
        if std::fs::metadata(path).is_ok() || std::fs::read_dir(path).is_ok() {
            let _ = writeln!(report, "file {path}");
        }
    }
    let wall_clock = wasip2::clocks::wall_clock::now().seconds;
    let _ = writeln!(report, "seconds {wall_clock}");
    let _ = writeln!(
        report,
        "random {}",
        wasip2::random::random::get_random_u64()
    );
    answer(out, 200, &report);
}
