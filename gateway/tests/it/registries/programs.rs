//! Programs of WASI 0.1 in a registry: core modules, which answer requests as CGI has it.

use tempfile::TempDir;

use super::opponents::{open_registry, push, site, text, wasmgate};
use crate::harness::script;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_module_is_pushed_pulled_and_served_as_a_program() {
    let Some(registry) = open_registry().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let module = script("wasm32-wasip1");
    let reference = format!("oci://{}/team/program:1", registry.address());
    push(&module, &reference);
    let pulled = wasmgate(folder.path(), &["pull", &reference, "-o", "back.wasm"]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    assert_eq!(
        std::fs::read(folder.path().join("back.wasm")).unwrap(),
        std::fs::read(&module).unwrap()
    );

    let lines = "kind = \"cgi\"\nfiles = { \"/\" = \"assets\" }";
    let packages = site(folder.path(), &reference, lines)
        .route("/site/{*rest}", "site")
        .file("assets/page.html", "<h1>here</h1>");
    let gateway = packages.start();
    let read = gateway.get("/site/reads?/page.html").await;
    assert_eq!(read.is(200).text(), "<h1>here</h1>");
    drop(gateway);
    // It is in the cache, made a component and compiled: the registry is not asked for more.
    drop(registry);
    let again = packages.start();
    assert_eq!(again.get("/site/says?hello").await.is(200).text(), "said");
    drop(again);

    // Without the word for it, what it is is told, with the word.
    site(folder.path(), &reference, "").write_to(folder.path());
    let told = text(&wasmgate(folder.path(), &["check"]).stderr);
    assert!(
        told.contains("kind = \"cgi\"") && told.contains(&reference),
        "{told}"
    );
}
