//! Programs of other languages, built by their own compilers: C with the library that everybody has for WASI, and Go
//! with its own package for CGI.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use wasmgate_real_dapr::left_out;

use crate::harness::{TestGateway, command};

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

/// A gateway with the program, which is compiled before it starts: a debug build takes a minute for a large one.
fn serve(folder: &Path, program: &Path) -> TestGateway {
    let builder = TestGateway::builder()
        .server("compile_timeout = \"10m\"")
        .package("script", program, "kind = \"cgi\"")
        .route("/cgi/{*rest}", "script");
    builder.write_to(folder);
    let output = command(folder, &["compile"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    builder.start_in(folder)
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
    let gateway = serve(folder.path(), &program);
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

#[tokio::test]
async fn a_handler_in_go_is_served_by_its_own_library_for_cgi() {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("script.wasm");
    if Command::new("go").arg("version").output().is_err() {
        return left_out("a program in Go is built by Go, which is not there");
    }
    // Debian's may be older than programs for WASI are.
    let mut go = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go"));
    go.args(["build", "-trimpath", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(sources("go"))
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOFLAGS", "")]);
    if !compiled(go) {
        return;
    }
    let gateway = serve(folder.path(), &program);
    let host = gateway.address;
    let request = gateway
        .request("GET", "/cgi/hello?a=b")
        .header("x-test", "value");
    let reply = gateway
        .send(request.body(crate::harness::empty()).unwrap())
        .await;
    assert_eq!(reply.status, 418, "{}", reply.text());
    assert_eq!(reply.header("x-from"), Some("net/http/cgi"));
    assert_eq!(
        reply.text(),
        format!("GET http://{host}/cgi/hello?a=b {host} HTTP/1.1 a=b test=value\n")
    );
    let body = vec![b'x'; 1 << 20];
    let reply = gateway.post("/cgi/echo", body.clone()).await;
    assert!(reply.body == body, "{} bytes", reply.body.len());
}
