//! A program of another language, built by its own compiler: C with the library that everybody has for WASI.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use wasmgate_real_dapr::left_out;

use crate::harness::TestGateway;

/// The sources.
fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/scripts")
        .join(language)
}

/// Runs a compiler; false if it is not there.
fn compiled(mut command: Command) -> bool {
    match command.output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            panic!("{command:?}: {told}");
        }
        Err(error) => {
            left_out(format_args!("{command:?} cannot be run ({error})"));
            false
        }
    }
}

fn serve(program: &Path) -> TestGateway {
    TestGateway::builder()
        .package("script", program, "kind = \"cgi\"")
        .route("/cgi/{*rest}", "script")
        .start()
}

#[tokio::test]
async fn a_form_in_c_is_served_as_any_web_server_serves_it() {
    let has_zig = Command::new("python3")
        .args(["-c", "import ziglang"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_zig {
        return left_out("a program in C is built by zig, which `pip install ziglang` brings");
    }
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("form.wasm");
    let mut zig = Command::new("python3");
    zig.args([
        "-m",
        "ziglang",
        "cc",
        "-target",
        "wasm32-wasi",
        "-O2",
        "-Wall",
        "-Werror",
        "-o",
    ])
    .arg(&program)
    .arg(sources("c").join("form.c"))
    .env("ZIG_LOCAL_CACHE_DIR", folder.path().join("zig"));
    if !compiled(zig) {
        return;
    }
    let gateway = serve(&program);
    let reply = gateway.post("/cgi/greet?name=Ann&x=1", "<a> & b").await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(reply.header("x-arguments"), Some("1"));
    assert_eq!(
        reply.text(),
        "<p>POST /greet</p>\n<p>name=Ann&amp;x=1</p>\n<p>&lt;a&gt; &amp; b</p>\n"
    );
    let fields = [("package", "script"), ("message", "served 127.0.0.1")];
    gateway.wait_for_event(&fields).await;
}
