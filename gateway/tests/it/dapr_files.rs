//! Component files with mistakes, and databases that cannot be used: told by name, and left as they are.

use tempfile::TempDir;

use crate::{
    dapr_mistakes::{STORE, shop},
    harness::{Signal, TestGateway, run},
};

/// `EX_USAGE`.
const USAGE: i32 = 64;

/// `EX_IOERR`.
const IO_ERROR: i32 = 74;

/// Returns what `check` and `up` say of these component files.
fn report_on(files: &[(&str, &str)]) -> String {
    let folder = TempDir::new().unwrap();
    let mut builder = shop();
    for (name, text) in files {
        builder = builder.file(&format!("components/{name}"), text);
    }
    builder.write_to(folder.path());
    let mut told = String::new();
    for command in ["check", "up"] {
        let output = run(folder.path(), &[command]);
        told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(USAGE), "{command}: {told}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("listening on"));
    }
    told
}

fn component(name: &str, kind: &str, metadata: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\n\
         spec: {{type: {kind}, version: v1, metadata: [{metadata}]}}\n"
    )
}

#[test]
fn check_says_what_a_sidecar_would_not_do() {
    let folder = TempDir::new().unwrap();
    let files = [
        (
            "a.yaml",
            component("orders", "state.postgresql", "").replace("v1,", "v2,"),
        ),
        ("b.yaml", component("carts", "state.redis", "")),
        ("c.yaml", component("menus", "state.mongodb", "")),
        ("d.yaml", component("old", "state.postgresql", "")),
        ("e.yaml", component("tills", "state.sqlite", "")),
    ];
    let mut builder = shop().dapr("substitute = true");
    for (name, text) in &files {
        builder = builder.file(&format!("components/{name}"), text);
    }
    builder.write_to(folder.path());
    let output = run(folder.path(), &["check"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let notes: Vec<_> = told
        .lines()
        .filter(|line| line.starts_with("note: component"))
        .collect();
    for (note, words) in notes.iter().zip([
        ["component carts", "query API only with RedisJSON"],
        ["component carts", "the rest of a transaction"],
        ["component orders", "state.postgresql v2 has no query API"],
        ["component tills", "state.sqlite v1 has no query API"],
    ]) {
        assert!(
            words.iter().all(|word| note.contains(word)),
            "{note}: {words:?}"
        );
    }
    assert_eq!(notes.len(), 4, "{told}");
}

#[test]
fn check_names_the_variables_that_packages_may_read_as_secrets() {
    let env = component("env", "secretstores.local.env", "");
    let notes = |file: Option<&str>, settings: &str| {
        let folder = TempDir::new().unwrap();
        let builder = shop().dapr(settings);
        let builder = file.into_iter().fold(builder, |builder, text| {
            builder.file("components/env.yaml", text)
        });
        builder.write_to(folder.path());
        let output = run(folder.path(), &["check"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let told = String::from_utf8(output.stdout).unwrap();
        let notes = told
            .lines()
            .filter(|line| line.starts_with("note: component"));
        notes.map(str::to_owned).collect::<Vec<_>>()
    };
    let none = notes(Some(&env), "");
    assert!(
        none.len() == 1 && none[0].contains("env serves no variable"),
        "{none:?}"
    );
    assert!(none[0].contains("[dapr] secret_env"), "{none:?}");
    // The tests' own process has PATH.
    let listed = r#"secret_env = ["PATH", "NO_SUCH_*"]"#;
    for (file, name) in [(Some(env.as_str()), "env"), (None, "secretstore")] {
        let told = notes(file, listed);
        let expected = format!("note: component {name} serves these variables of the gateway's environment: PATH");
        assert_eq!(told, [expected]);
    }
    assert!(notes(None, "").is_empty());
}

#[test]
fn check_says_which_grants_open_nothing() {
    let folder = TempDir::new().unwrap();
    let grants = r#"dapr = { state = ["statestor"], publish = ["pubsub/orders", "pubsup/*"], subscribe = ["*/a"],
        invoke = ["shop", "kitchn"], secrets = ["secretstore/db"], lock = ["lock*"], configuration = ["config"] }"#;
    let builder = TestGateway::builder().guest_as("shop", "calls_dapr", &grants.replace('\n', ""));
    builder.write_to(folder.path());
    let output = run(folder.path(), &["check"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let notes: Vec<_> = told
        .lines()
        .filter(|line| line.starts_with("note: package shop"))
        .collect();
    for (note, words) in notes.iter().zip([
        r#"state = ["statestor"]"#,
        r#"publish = ["pubsup/*"]"#,
        r#"invoke = ["kitchn"]"#,
        r#"configuration = ["config"]"#,
    ]) {
        assert!(note.contains(words), "{note}: {words}");
    }
    assert_eq!(notes.len(), 4, "{told}");
}

#[test]
fn mistakes_in_component_files_are_all_told_with_file_and_remedy() {
    let unknown = component("cache", "state.redis", "");
    let nonsense = component("x", "nonsense", "");
    let twice = format!(
        "{}---\n{}",
        component("s", "state.sqlite", ""),
        component("s", "state.sqlite", "")
    );
    let secret = component(
        "t",
        "state.sqlite",
        "{name: keyPrefix, secretKeyRef: {name: a, key: a}}",
    );
    let cron = component("c", "bindings.cron", "{name: schedule, value: sometimes}");
    let told = report_on(&[
        ("unknown.yaml", &unknown),
        ("nonsense.yaml", &nonsense),
        ("twice.yaml", &twice),
        ("secret.yaml", &secret),
        ("cron.yaml", &cron),
        ("broken.yaml", "kind: [Component"),
    ]);
    for words in [
        ["unknown.yaml", "state.redis", "substitute = true"],
        ["nonsense.yaml", "nonsense", "sidecar"],
        ["twice.yaml", "document 2", "its own name"],
        ["secret.yaml", "keyPrefix", "secret"],
        ["cron.yaml", "schedule", "sometimes"],
        ["broken.yaml", "document 1", ""],
    ] {
        for word in words {
            assert!(told.contains(word), "nothing about {word} in:\n{told}");
        }
    }
}

/// Returns what `up` says of a database file, which it is to leave alone.
#[test]
fn a_binding_has_no_folder_in_which_the_gateway_has_its_own() {
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled");
    for (root, what) in [
        (cache, "compiled code is there"),
        ("../.wasmgate", "the data of the building blocks is there"),
        ("..", "the configuration is there"),
    ] {
        let metadata = format!("{{name: rootPath, value: '{root}'}}");
        let files = component("files", "bindings.localstorage", &metadata);
        let told = report_on(&[("files.yaml", &files)]);
        assert!(
            told.contains("spec.metadata.rootPath") && told.contains(what),
            "{root}: {told}"
        );
    }
}

fn refused(database: &[u8]) -> String {
    let folder = TempDir::new().unwrap();
    shop().write_to(folder.path());
    let file = folder.path().join(".wasmgate/dapr.db");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, database).unwrap();
    let output = run(folder.path(), &["up"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(IO_ERROR), "{told}");
    assert_eq!(std::fs::read(&file).unwrap(), database, "it is changed");
    assert!(told.contains(".wasmgate/dapr.db"), "{told}");
    told
}

#[test]
fn a_database_that_is_none_is_refused_by_its_name_and_left_alone() {
    let told = refused("this is no database".repeat(1000).as_bytes());
    assert!(told.contains("move the file away"), "{told}");
}

#[tokio::test]
async fn a_database_that_is_damaged_is_refused_by_its_name_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let mut gateway = shop().start_in(folder.path());
    let item = r#"[{"key":"k","value":1}]"#;
    gateway.call("shop", "POST", STORE, item).await.is(204);
    gateway.signal(Signal::Terminate);
    gateway.ended().await;
    let mut database = std::fs::read(folder.path().join(".wasmgate/dapr.db")).unwrap();
    database[16..4096].fill(0xff);
    refused(&database);
}

#[test]
fn a_second_gateway_on_the_same_data_is_refused() {
    let folder = TempDir::new().unwrap();
    let shop = shop().dapr("data_wait = \"0s\"");
    let _first = shop.start_in(folder.path());
    let output = run(folder.path(), &["up"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(IO_ERROR), "{told}");
    assert!(told.contains("in use by another process"), "{told}");
}
