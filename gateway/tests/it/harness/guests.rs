//! The guests' components, built once for all tests of a run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The component of the guest in `tests/guests/examples/NAME.rs`.
pub(crate) fn guest(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let component = FOLDER.get_or_init(build).join(format!("{name}.wasm"));
    assert!(component.is_file(), "there is no test guest named {name}");
    component
}

/// Builds all guests; Cargo makes it nothing when they are fresh.
fn build() -> PathBuf {
    let target = target_folder();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--examples"])
        .args([
            "--target",
            "wasm32-wasip2",
            "--package",
            "wasmgate-test-guests",
            "--target-dir",
        ])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        built.status.success(),
        "the test guests do not build:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    target.join("wasm32-wasip2/release/examples")
}

/// Cargo's target folder, which holds its folder for the tests' files.
fn target_folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the folder for tests is in the target folder")
}
