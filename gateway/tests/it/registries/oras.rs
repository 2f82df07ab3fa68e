//! The same artifacts as `oras`'s, the tool for whatever registries keep.

use std::process::{Command, Output};

use tempfile::TempDir;
use wasmgate_real_dapr::left_out;

use super::opponents::{open_registry, text, wasmgate};
use crate::harness::guest;

/// Names the program where it is not in `PATH`.
const PROGRAM: &str = "WASMGATE_ORAS";

#[tokio::test]
async fn each_reads_what_the_other_pushed() {
    let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "oras".into());
    if Command::new(&program).arg("version").output().is_err() {
        left_out("it needs `oras` (`go install oras.land/oras/cmd/oras@v1.2.3`), in PATH or named by WASMGATE_ORAS");
        return;
    }
    let Some(registry) = open_registry().await else {
        return;
    };
    let (pushed, pulled) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let oras = |folder: &TempDir, arguments: &[&str]| {
        let mut command = Command::new(&program);
        let ran = command.args(arguments).current_dir(folder.path()).output();
        let Output {
            status,
            stdout,
            stderr,
        } = ran.unwrap();
        assert!(
            status.success(),
            "{arguments:?}: {}{}",
            text(&stdout),
            text(&stderr)
        );
    };
    let hello = guest("hello");
    let (host, bytes) = (registry.address(), std::fs::read(&hello).unwrap());
    std::fs::copy(&hello, pushed.path().join("site.wasm")).unwrap();
    std::fs::write(pushed.path().join("notes.txt"), "beside it").unwrap();
    let (theirs, ours) = (
        format!("{host}/team/theirs:1"),
        format!("{host}/team/ours:1"),
    );
    let push = ["push", "--plain-http", &theirs];
    let files = ["site.wasm:application/wasm", "notes.txt:text/plain"];
    oras(&pushed, &[&push[..], &files].concat());
    let back = wasmgate(pulled.path(), &["pull", &theirs, "-o", "theirs.wasm"]);
    assert!(back.status.success(), "{}", text(&back.stderr));

    // As `oras` has it unless told otherwise: an archive, which it is not.
    let untyped = format!("{host}/team/untyped:1");
    oras(&pushed, &["push", "--plain-http", &untyped, "site.wasm"]);
    let refused = wasmgate(pulled.path(), &["pull", &untyped]);
    let told = text(&refused.stderr);
    assert!(
        told.contains("a layer is called \"site.wasm\": push it as application/wasm"),
        "{told}"
    );

    let push = ["push", hello.to_str().unwrap(), &ours, "--compiled"];
    let told = wasmgate(pushed.path(), &push);
    assert!(told.status.success(), "{}", text(&told.stderr));
    oras(&pulled, &["pull", "--plain-http", &ours]);
    for back in ["theirs.wasm", "ours.wasm"] {
        assert_eq!(
            std::fs::read(pulled.path().join(back)).unwrap(),
            bytes,
            "{back}"
        );
    }
    // A copy, as from one registry to another, is the same.
    let copy = format!("{host}/other/copy:1");
    oras(
        &pulled,
        &["cp", "--from-plain-http", "--to-plain-http", &ours, &copy],
    );
    let back = wasmgate(pulled.path(), &["pull", &copy, "-o", "copy.wasm"]);
    assert!(back.status.success(), "{}", text(&back.stderr));
    assert_eq!(
        std::fs::read(pulled.path().join("copy.wasm")).unwrap(),
        bytes
    );
}
