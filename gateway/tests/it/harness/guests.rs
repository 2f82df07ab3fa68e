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

/// The choice of the SDK's world.
const WASIP3: [&str; 2] = ["--features", "wasmgate-sdk/wasip3"];

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

/// The folder with the same packages, built for WASI 0.3.
pub(crate) fn packages_of_wasip3() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let packages = EXAMPLE_PACKAGES.map(|name| ["--package", name]).concat();
        build_in(
            &of_wasip3(),
            "wasm32-wasip2",
            &[&packages[..], &WASIP3].concat(),
        )
    })
}

/// The test guest of that name, built for WASI 0.3; it is one that uses the SDK.
pub(crate) fn guest_of_wasip3(name: &str) -> PathBuf {
    let arguments = ["--package", "wasmgate-test-guests", "--example", name];
    let folder = build_in(
        &of_wasip3(),
        "wasm32-wasip2",
        &[&arguments[..], &WASIP3].concat(),
    );
    folder.join("examples").join(format!("{name}.wasm"))
}

/// A target folder of its own: what is built for either world is not built again for the other.
fn of_wasip3() -> PathBuf {
    target_folder().join("wasip3")
}

/// The program of `tests/scripts`, built for this target of WASI.
pub(crate) fn script(target: &str) -> PathBuf {
    let folder = build_for(target, &["--package", "wasmgate-test-scripts"]);
    folder.join("script.wasm")
}

/// The middleware in `tests/middleware`.
pub(crate) fn middleware() -> PathBuf {
    build(&["--package", "wasmgate-test-middleware"]).join("middleware.wasm")
}

/// Composes a component with the one behind it, by the tool in `tests/compose`.
pub(crate) fn compose(front: &Path, behind: &Path, made: &Path) {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    let tool = TOOL.get_or_init(|| {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compose/Cargo.toml");
        let folder = target_folder().join("compose");
        let mut build = Command::new(env!("CARGO"));
        build
            .args([
                "build",
                "--quiet",
                "--locked",
                "--manifest-path",
                manifest,
                "--target-dir",
            ])
            .arg(&folder);
        succeed(build);
        folder.join("debug/wasmgate-test-compose")
    });
    let mut tool = Command::new(tool);
    tool.args([front, behind, made]);
    succeed(tool);
}

fn succeed(mut command: Command) {
    let output = command.output().expect("it runs");
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Builds components; Cargo makes it nothing when they are fresh. The folder they are in.
fn build(arguments: &[&str]) -> PathBuf {
    build_for("wasm32-wasip2", arguments)
}

fn build_for(wasi: &str, arguments: &[&str]) -> PathBuf {
    build_in(target_folder(), wasi, arguments)
}

fn build_in(target: &Path, wasi: &str, arguments: &[&str]) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--quiet", "--release", "--target", wasi])
        .args(arguments)
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    succeed(build);
    target.join(wasi).join("release")
}

/// Cargo's target folder, which holds its folder for the tests' files.
fn target_folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the folder for tests is in the target folder")
}
