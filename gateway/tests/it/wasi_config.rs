//! `wasi:config`: a package's `env`, and the configuration store that it names.

use crate::harness::{Builder, TestGateway, run};

const NAMES: [&str; 4] = ["rc", "draft", "runtime", "spin"];

fn asking(lines: &str) -> Builder {
    TestGateway::builder().guest_as("asks", "asks_for_its_configuration", lines)
}

async fn told(gateway: &TestGateway, query: &str) -> String {
    gateway.get(&format!("/asks?{query}")).await.is(200).text()
}

#[tokio::test]
async fn a_guest_has_its_env_under_every_name_of_the_interface_and_nothing_else() {
    let gateway = asking(r#"env = { GREETING = "hello", EMPTY = "" }"#)
        .environment("SECRET_OF_THE_HOST", "x")
        .start();
    for name in NAMES {
        let get = |key: &str| format!("by={name}&key={key}");
        assert_eq!(
            told(&gateway, &get("GREETING")).await,
            r#"Ok(Some("hello"))"#
        );
        assert_eq!(told(&gateway, &get("EMPTY")).await, r#"Ok(Some(""))"#);
        for missing in ["greeting", "SECRET_OF_THE_HOST", "PATH", ""] {
            assert_eq!(told(&gateway, &get(missing)).await, "Ok(None)", "{missing}");
        }
        assert_eq!(
            told(&gateway, &format!("by={name}")).await,
            r#"Ok([("EMPTY", ""), ("GREETING", "hello")])"#
        );
    }
}

const ITEMS: &str =
    r#"{"greeting": "good morning", "GREETING": "from the store", "cups": {"value": "3", "version": "7"}}"#;

#[tokio::test]
async fn the_store_that_a_package_names_is_read_behind_its_env() {
    let lines = r#"env = { GREETING = "hello" }
        config = "configstore""#;
    let gateway = asking(lines)
        .file(".wasmgate/configuration.json", ITEMS)
        .guest_as("shop", "calls_dapr", r#"config = "configstore""#)
        .start();
    assert_eq!(told(&gateway, "key=GREETING").await, r#"Ok(Some("hello"))"#);
    assert_eq!(
        told(&gateway, "key=greeting").await,
        r#"Ok(Some("good morning"))"#
    );
    assert_eq!(told(&gateway, "key=nothing").await, "Ok(None)");
    assert_eq!(
        told(&gateway, "").await,
        r#"Ok([("GREETING", "hello"), ("cups", "3"), ("greeting", "good morning")])"#
    );
    // It opens nothing of the Dapr API.
    let path = "/v1.0/configuration/configstore";
    let reply = gateway.call("shop", "GET", path, "").await;
    assert_eq!(reply.status, 403, "{}", reply.text());
}

#[tokio::test]
async fn a_store_that_is_not_there_is_told_to_the_guest_and_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let builder = asking(r#"config = "confgstore""#);
    let gateway = builder.start_in(folder.path());
    let error = told(&gateway, "key=k").await;
    assert!(
        error.starts_with("Err(Error::Upstream(") && error.contains("confgstore"),
        "{error}"
    );
    let output = run(folder.path(), &["check"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let note = r#"package asks: config = "confgstore" opens nothing: no configuration store has this name; did you mean "configstore"?"#;
    assert!(told.contains(note), "{told}");
}
