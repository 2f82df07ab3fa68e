//! Compiled code that cannot be loaded: kept and tried again when it is the machine's fault, compiled again when it is
//! the file's.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::harness::{TestGateway, empty, guest, until};

/// The one file of compiled code.
fn code(cache: &Path) -> PathBuf {
    let mut files = fs::read_dir(cache).unwrap();
    let found = files.find_map(|entry| {
        let path = entry.unwrap().path();
        (path.extension()? == "cwasm").then_some(path)
    });
    found.unwrap()
}

async fn compilations(gateway: &TestGateway) -> f64 {
    let metrics = gateway.metrics().await;
    metrics.sum("wasmgate_compilations_total", &[])
}

async fn is_served(gateway: &TestGateway, target: &str) {
    until("the package is served", || async {
        gateway.get(target).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn without_descriptors_a_package_answers_503_and_its_code_is_kept() {
    let folder = TempDir::new().unwrap();
    let cache = folder.path().join("compiled");
    let gateway = TestGateway::builder().cache(&cache).guest("hello").start();
    let before = fs::read(code(&cache)).unwrap();
    let compiled = compilations(&gateway).await;
    // A connection that is there already; nothing is loaded for a path without a route.
    let mut connection = gateway.http1().await;
    let mut get = async |target: &str| {
        let request = gateway.request("GET", target).body(empty()).unwrap();
        crate::harness::Reply::of(connection.send_request(request).await.unwrap())
            .await
            .unwrap()
    };
    get("/nowhere").await.assert_error(404, "no-route");
    let limit = gateway.limit_descriptors(3);
    for _ in 0..3 {
        get("/hello").await.assert_error(503, "package-unavailable");
    }
    assert_eq!(fs::read(code(&cache)).unwrap(), before, "the code is kept");
    gateway.limit_descriptors(limit);
    let readyz = gateway.admin_get("/readyz").await;
    assert_eq!(readyz.status, 200);
    assert!(
        readyz.text().contains("package-unavailable hello: "),
        "{}",
        readyz.text()
    );
    assert_eq!(get("/hello").await.status, 200);
    assert_eq!(gateway.admin_get("/readyz").await.text(), "ok\n");
    assert_eq!(compilations(&gateway).await, compiled);
    // The log is in order: when this is there, so is all that was said before.
    let hello = ("package", "hello");
    gateway
        .wait_for_event(&[hello, ("message", "the package is available again")])
        .await;
    let failed = [hello, ("message", "the package cannot be loaded")];
    let events = gateway.events();
    let told = events.iter().filter(|event| event.has(&failed)).count();
    assert_eq!(told, 1, "said once, not for each request");
}

#[tokio::test]
async fn code_that_is_damaged_or_gone_is_compiled_again_while_the_gateway_serves() {
    let damages: [fn(&Path); 3] = [
        |file| fs::write(file, "not code").unwrap(),
        |file| fs::remove_file(file).unwrap(),
        |file| fs::remove_dir_all(file.parent().unwrap()).unwrap(),
    ];
    for damage in damages {
        let folder = TempDir::new().unwrap();
        let cache = folder.path().join("compiled");
        let gateway = TestGateway::builder().cache(&cache).guest("hello").start();
        damage(&code(&cache));
        let first = gateway.get("/hello").await;
        first.assert_error(503, "package-unavailable");
        is_served(&gateway, "/hello").await;
        assert_eq!(compilations(&gateway).await, 2.0);
        assert!(code(&cache).exists());
        assert_eq!(gateway.admin_get("/readyz").await.text(), "ok\n");
    }
}

#[tokio::test]
async fn lost_code_is_not_made_from_a_component_that_was_never_checked() {
    let folder = TempDir::new().unwrap();
    let (cache, source) = (folder.path().join("compiled"), folder.path().join("p.wasm"));
    fs::copy(guest("hello"), &source).unwrap();
    let gateway = TestGateway::builder()
        .cache(&cache)
        .package("p", &source, "")
        .route("/p", "p")
        .start();
    fs::remove_file(code(&cache)).unwrap();
    fs::copy(guest("counter"), &source).unwrap();
    gateway
        .get("/p")
        .await
        .assert_error(503, "package-unavailable");
    until("the reason is told", || async {
        let text = gateway.admin_get("/readyz").await.text();
        text.contains("has changed since the start")
    })
    .await;
    gateway
        .get("/p")
        .await
        .assert_error(503, "package-unavailable");
}
