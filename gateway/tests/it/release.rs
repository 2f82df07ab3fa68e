//! The archive of a release: what is in it, that it is whole, and that a package can be made with nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use serde_json::Value;
use tempfile::TempDir;
use wasmgate_real_dapr::left_out;

use crate::harness::output_of;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Cargo packs the SDK into one place.
static PACKING: Mutex<()> = Mutex::new(());

/// Packs the binary under test; the archive. `None` without what packs it.
fn pack(out: &Path) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/release");
    if Command::new("python3").arg("--version").output().is_err() {
        left_out("python3 is not there");
        return None;
    }
    let _one_at_a_time = PACKING.lock();
    let packed = Command::new(script)
        .args([
            "--target",
            TARGET,
            "--binary",
            env!("CARGO_BIN_EXE_wasmgate"),
            "--out",
        ])
        .arg(out)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&packed.stderr);
    assert!(packed.status.success(), "{told}");
    Some(PathBuf::from(
        String::from_utf8(packed.stdout).unwrap().trim(),
    ))
}

fn run(program: &str, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_unpacked_release_makes_a_package_that_depends_on_the_sdk_in_it() {
    let folder = TempDir::new().unwrap();
    let Some(archive) = pack(folder.path()) else {
        return;
    };
    let name = archive.file_name().unwrap().to_str().unwrap();
    run(
        "sha256sum",
        folder.path(),
        &["--check", &format!("{name}.sha256")],
    );
    run("tar", folder.path(), &["-xzf", name]);
    let prefix = folder.path().join(name.trim_end_matches(".tar.gz"));
    for file in [
        "share/man/man1/wasmgate.1",
        "share/zsh/site-functions/_wasmgate",
        "lib/systemd/system/wasmgate.service",
        "share/doc/wasmgate/LICENSE",
        "share/doc/wasmgate/gateway/README.md",
    ] {
        assert!(prefix.join(file).is_file(), "{file}");
    }
    let schema = fs::read_to_string(prefix.join("share/wasmgate/wasmgate.schema.json")).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasmgate.schema.json");
    assert_eq!(schema, fs::read_to_string(shipped).unwrap());

    let bill = fs::read(prefix.join("share/wasmgate/sbom.cdx.json")).unwrap();
    let bill: Value = serde_json::from_slice(&bill).unwrap();
    let parts = bill["components"].as_array().unwrap();
    let wasmtime = parts
        .iter()
        .find(|part| part["name"] == "wasmtime")
        .unwrap();
    assert_eq!(wasmtime["hashes"][0]["content"].as_str().unwrap().len(), 64);
    assert!(
        parts.iter().all(|part| part["name"] != "criterion"),
        "tests are not shipped"
    );

    let mut new = Command::new(prefix.join("bin/wasmgate"));
    new.args(["new", "greeter"])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    assert!(output_of(new).status.success());
    let project = folder.path().join("greeter");
    let sdk = fs::canonicalize(prefix.join("share/wasmgate/sdk")).unwrap();
    let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
    assert!(
        manifest.contains(&format!("path = \"{}\"", sdk.display())),
        "{manifest}"
    );
    // The SDK is whole, and its own dependencies are enough.
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::copy(repository.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let checked = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet", "--target", "wasm32-wasip2"])
        .current_dir(&project)
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("release"),
        )
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn the_same_binary_makes_the_same_archive() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let archives = (pack(one.path()), pack(other.path()));
    if let (Some(one), Some(other)) = archives {
        assert!(fs::read(one).unwrap() == fs::read(other).unwrap());
    }
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_it_gives_nothing_away() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/wasmgate.service");
    let asked = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20"])
        .arg(&unit)
        .output();
    match asked {
        Ok(asked) => {
            let told = String::from_utf8_lossy(&asked.stdout);
            assert!(
                asked.status.success(),
                "exposed more than 2.0 of 10:\n{told}"
            );
        }
        Err(_) => left_out("systemd-analyze is not there"),
    }
}
