//! The components of the test guests and of the example packages, built once for all tests of a run.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The example packages that `wasmgate.toml` serves.
const EXAMPLE_PACKAGES: [&str; 6] = [
    "hello",
    "product-api",
    "counter-api",
    "barista-api",
    "kitchen-api",
    "shop",
];

/// Optimised as a whole, as the Makefile has it: neither builds anew what the other has built.
const WHOLE: [&str; 4] = [
    "--config",
    "profile.release.lto=\"fat\"",
    "--config",
    "profile.release.codegen-units=1",
];

/// The component of the guest in `tests/guests/examples/NAME.rs`.
pub(crate) fn guest(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let arguments = ["--examples", "--package", "wasmgate-test-guests"];
    let folder = FOLDER.get_or_init(|| build(&arguments).join("examples"));
    let component = folder.join(format!("{name}.wasm"));
    assert!(component.is_file(), "there is no test guest named {name}");
    component
}

/// The folder with the components of [`EXAMPLE_PACKAGES`].
pub(crate) fn example_packages() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let packages = EXAMPLE_PACKAGES.map(|name| ["--package", name]).concat();
        build(&[&WHOLE[..], &packages].concat())
    })
}

/// The program of `tests/scripts`, built for this target of WASI.
pub(crate) fn script(target: &str) -> PathBuf {
    let folder = build_for(target, &["--package", "wasmgate-test-scripts"]);
    folder.join("script.wasm")
}

/// Builds components; Cargo makes it nothing when they are fresh. The folder they are in.
fn build(arguments: &[&str]) -> PathBuf {
    build_for("wasm32-wasip2", arguments)
}

fn build_for(wasi: &str, arguments: &[&str]) -> PathBuf {
    let target = target_folder();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", wasi])
        .args(arguments)
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        built.status.success(),
        "{arguments:?} do not build:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    target.join(wasi).join("release")
}

/// Cargo's target folder, which holds its folder for the tests' files.
fn target_folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the folder for tests is in the target folder")
}
