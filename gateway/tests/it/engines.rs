//! The engine that a package runs in, the packages that are loaded, and that no engine lets one request see another's
//! bytes.

use std::path::Path;

use serde_json::Value;

use crate::harness::{TestGateway, guest, run};

async fn packages(gateway: &TestGateway) -> Vec<Value> {
    let reply = gateway.admin_get("/packages").await;
    serde_json::from_str(&reply.text()).unwrap()
}

async fn engine_of(gateway: &TestGateway, name: &str) -> String {
    let packages = packages(gateway).await;
    let package = packages
        .iter()
        .find(|package| package["name"] == name)
        .expect("the package");
    assert_ne!(package["reason"], "", "an engine is chosen for a reason");
    package["engine"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_package_with_much_data_has_it_mapped_in_the_pool_and_every_request_finds_it_untouched() {
    let gateway = TestGateway::builder()
        .guest("hello")
        .guest("carries_much_data")
        .package(
            "mapped",
            &guest("carries_much_data"),
            "engine = \"copy-on-write\"",
        )
        .route("/mapped", "mapped")
        .start();
    assert_eq!(engine_of(&gateway, "hello").await, "pool");
    assert_eq!(engine_of(&gateway, "carries-much-data").await, "pool");
    for round in 0..10 {
        for at in [0, 1, 70_000, 2_097_151] {
            for name in ["carries-much-data", "mapped"] {
                let byte = gateway.get(&format!("/{name}?at={at}")).await.text();
                assert_eq!(byte, "7", "{name}, round {round}, byte {at}");
            }
        }
    }
    assert_eq!(gateway.get("/hello").await.status, 200);
}

#[tokio::test]
async fn data_that_is_mapped_comes_from_the_code_on_disk_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("code");
    for compilations in [1.0, 0.0] {
        let gateway = TestGateway::builder()
            .cache(&cache)
            .guest("carries_much_data")
            .start();
        assert_eq!(gateway.get("/carries-much-data?at=70000").await.text(), "7");
        let metrics = gateway.metrics().await;
        assert_eq!(
            metrics.sum("wasmgate_compilations_total", &[]),
            compilations
        );
    }
}

#[tokio::test]
async fn the_configuration_may_choose_the_engine() {
    let gateway = TestGateway::builder()
        .guest_with("hello", "engine = \"copy-on-write\"")
        .start();
    assert_eq!(engine_of(&gateway, "hello").await, "copy-on-write");
    assert_eq!(gateway.get("/hello").await.status, 200);
}

#[tokio::test]
async fn what_is_not_used_makes_room_for_what_is() {
    let mut builder = TestGateway::builder().server("loaded_code = \"1MiB\"");
    for number in 0..12 {
        let name = format!("hello-{number}");
        builder = builder
            .package(&name, &guest("hello"), "")
            .route(&format!("/{number}/hello"), &name);
    }
    let gateway = builder.start();
    let loaded = |packages: Vec<Value>| {
        packages
            .iter()
            .filter(|package| package["loaded"] == true)
            .count()
    };
    assert_eq!(
        loaded(packages(&gateway).await),
        0,
        "nothing is loaded before it is asked for"
    );
    for round in 0..2 {
        for number in 0..12 {
            let reply = gateway.get(&format!("/{number}/hello")).await;
            assert_eq!(reply.status, 200, "round {round}, package {number}");
        }
    }
    let loaded = loaded(packages(&gateway).await);
    assert!(
        (1..12).contains(&loaded),
        "{loaded} of 12 packages are loaded"
    );
}

#[tokio::test]
async fn no_byte_of_one_request_is_seen_by_another() {
    let mut builder = TestGateway::builder().server("workers = 2");
    for (name, engine) in [("one", "pool"), ("two", "pool"), ("three", "copy-on-write")] {
        builder = builder
            .package(
                name,
                &guest("looks_for_leftovers"),
                &format!("engine = \"{engine}\""),
            )
            .route(&format!("/{name}"), name);
    }
    let gateway = builder.start();
    let own = gateway.get("/one?after=1").await.text();
    assert!(
        own.starts_with("found"),
        "the guest does not see its own marks: {own}"
    );
    let clients = (0..8_u32).map(|client| {
        let gateway = &gateway;
        async move {
            for turn in 0..24_u32 {
                let name = ["one", "two", "three"][(client + turn) as usize % 3];
                // Beyond the pool's budget of what is cleaned in place, within it, and not at all.
                let grow = [0, 2, 300][(turn / 3) as usize % 3];
                let trap = if (client + turn) % 7 == 0 {
                    "&trap=1"
                } else {
                    ""
                };
                let reply = gateway.get(&format!("/{name}?grow={grow}{trap}")).await;
                match trap {
                    "" => assert_eq!(reply.text(), "clean", "{name}, turn {turn}"),
                    _ => reply.assert_error(502, "guest-trap"),
                }
            }
        }
    });
    futures_util::future::join_all(clients).await;
}

#[tokio::test]
async fn a_start_after_compile_compiles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("image");
    let builder = TestGateway::builder().cache(&cache).guest("hello");
    std::fs::write(folder.path().join("wasmgate.toml"), builder.toml()).unwrap();
    let output = run(folder.path(), &["compile"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(has_files(&cache));
    let gateway = builder.start();
    assert_eq!(gateway.get("/hello").await.status, 200);
    assert_eq!(
        gateway
            .metrics()
            .await
            .sum("wasmgate_compilations_total", &[]),
        0.0
    );
}

fn has_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_some()
}
