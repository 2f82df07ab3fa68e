//! Tests that are left out where something is missing.

use std::{
    fmt::Display,
    fs::OpenOptions,
    io::{Write as _, stderr},
    thread,
};

/// Names the file that `make test` counts in: a line for each test, its name and the reason.
const FILE: &str = "WASMGATE_LEFT_OUT";

/// Says that the running test is left out and why, where it is seen although the test passes.
pub fn left_out(reason: impl Display) {
    let test = thread::current();
    let test = test.name().unwrap_or("a test");
    // A test's prints are shown when it fails alone; the file itself is not captured.
    let _ = writeln!(stderr(), "left out: {test}: {reason}");
    if let Some(file) = std::env::var_os(FILE) {
        let file = OpenOptions::new().create(true).append(true).open(file);
        // One write, so that lines of tests at work together do not mix.
        let line = format!("{test}\t{reason}\n");
        file.expect(FILE).write_all(line.as_bytes()).expect(FILE);
    }
}
