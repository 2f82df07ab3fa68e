//! The same artifacts as `wkg`'s.

use std::process::Command;

use tempfile::TempDir;
use wasmgate_real_dapr::left_out;

use super::opponents::{open_registry, text, wasmgate};
use crate::harness::guest;

/// Names the program where it is not in `PATH`.
const PROGRAM: &str = "WASMGATE_WKG";

#[tokio::test]
async fn each_reads_what_the_other_pushed() {
    let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "wkg".into());
    if Command::new(&program).arg("--version").output().is_err() {
        left_out("it needs `wkg` (`cargo install wkg`), in PATH or named by WASMGATE_WKG");
        return;
    }
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let host = registry.address().to_string();
    let wkg = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        let ran = command
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", text(&ran.stderr));
    };
    let hello = guest("hello");
    let (theirs, ours) = (
        format!("{host}/team/theirs:1"),
        format!("{host}/team/ours:1"),
    );
    wkg(&[
        "oci",
        "push",
        "--insecure",
        &host,
        &theirs,
        hello.to_str().unwrap(),
    ]);
    let pulled = wasmgate(folder.path(), &["pull", &theirs, "-o", "theirs.wasm"]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    // Compiled code beside it is nothing that others see.
    let push = ["push", hello.to_str().unwrap(), &ours, "--compiled"];
    let pushed = wasmgate(folder.path(), &push);
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    wkg(&["oci", "pull", "--insecure", &host, &ours, "-o", "ours.wasm"]);
    let bytes = std::fs::read(hello).unwrap();
    for back in ["theirs.wasm", "ours.wasm"] {
        assert_eq!(
            std::fs::read(folder.path().join(back)).unwrap(),
            bytes,
            "{back}"
        );
    }
}
