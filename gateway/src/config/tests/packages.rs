//! Packages and their grants.

use super::*;

#[test]
fn a_package_name_is_a_dns_label() {
    let long = "a".repeat(64);
    for name in ["Counter", "a_b", "-a", "a-", "ü", "a.b", "", long.as_str()] {
        let text = format!("[package.{name:?}]\nsource = \"hello.wasm\"");
        assert_eq!(mistake(&text).2, format!("package.{name}"));
    }
    assert!(help("[package.Counter_API]\nsource = \"hello.wasm\"").contains("\"counter-api\""));
    accepted(&format!(
        "[package.{}]\nsource = \"hello.wasm\"",
        "9".repeat(63)
    ));
}

#[test]
fn half_of_a_topics_name_is_told_with_the_other_half() {
    let told = help(&format!("{HELLO}dapr = {{ publish = [\"orders\"] }}"));
    assert!(
        told.contains("\"pubsub/orders\"") && told.contains("\"orders/*\""),
        "{told}"
    );
    assert!(help(&format!("{HELLO}dapr = {{ subscribe = [\"*\"] }}")).contains("\"*/*\""));
}

#[test]
fn a_source_is_a_file_that_is_there_and_not_empty() {
    let folder = Folder::new();
    fs::write(folder.0.path().join("empty.wasm"), b"").unwrap();
    for source in [
        "absent.wasm",
        ".",
        "empty.wasm",
        "",
        "hello.wasm/x",
        "oci://r/n@sha256:0",
        "https://r/n",
    ] {
        let rejected = folder
            .parse(&format!("[package.hello]\nsource = {source:?}"))
            .unwrap_err();
        assert_eq!(
            rejected.diagnostics.as_slice()[0].place.position,
            Some(Position {
                line: 2,
                column: 10
            }),
            "{source}"
        );
    }
    assert_eq!(
        mistake("[package.hello]"),
        (1, 1, "package.hello".to_owned())
    );
}

#[test]
fn the_environment_of_a_guest_can_be_one() {
    for name in ["", "A=B", "APP_ID", "DAPR_HTTP_ENDPOINT"] {
        let text = format!("{HELLO}env = {{ {name:?} = \"x\" }}");
        assert_eq!(mistake(&text).2, format!("package.hello.env.{name}"));
    }
}

#[test]
fn arguments_are_a_programs_and_texts() {
    let of = |lines: &str| format!("{HELLO}{lines}");
    assert_eq!(mistake(&of("args = [\"-v\"]")).2, "package.hello.args");
    for wrong in ["args = \"-v\"", "args = [1]", "args = [\"a\\u0000b\"]"] {
        let found = mistake(&of(&format!("kind = \"cgi\"\n{wrong}")));
        assert!(
            found.2.starts_with("package.hello.args"),
            "{wrong}: {found:?}"
        );
    }
    let config = accepted(&of("kind = \"cgi\"\nargs = [\"/app.rb\", \"\"]"));
    assert_eq!(config.packages[0].args, ["/app.rb", ""]);
}

#[test]
fn a_grant_to_a_topic_names_pubsub_and_topic() {
    for grant in ["pubsub", "/orders", "pubsub/", "", "a b/c"] {
        assert_eq!(
            mistake(&format!("{HELLO}dapr.publish = [{grant:?}]")).2,
            "package.hello.dapr.publish"
        );
    }
}

#[test]
fn no_dapr_table_is_no_dapr_and_an_empty_one_grants_nothing() {
    assert!(accepted(HELLO).packages[0].grants.is_none());
    let empty = &accepted(&format!("{HELLO}dapr = {{}}")).packages[0].grants;
    assert!(!empty.is_none() && !empty.allows_jobs());
    assert_eq!(empty.singly().count(), 0);
}

#[test]
fn no_guest_reads_a_folder_with_somebodys_secrets_in_it() {
    let folder = Folder::new();
    let assets = folder.0.path().join("assets");
    fs::create_dir(&assets).unwrap();
    fs::write(assets.join("config.json"), "{}").unwrap();
    let grant = "files = { \"/\" = \"assets\" }";
    for (text, words) in [
        (
            format!("{HELLO}{grant}\n[registry.host.\"registry.example.com\"]\ncredentials = \"assets/config.json\""),
            "a file of registries' credentials is there",
        ),
        (
            format!("{HELLO}{grant}\n[package.other.tls]\nkey = \"assets/client.key\""),
            "a package's key of TLS is there",
        ),
    ] {
        let told = folder.parse(&text).unwrap_err().to_string();
        assert!(
            told.contains("package.hello.files") && told.contains(words),
            "{told}"
        );
    }
    assert!(folder.parse(&format!("{HELLO}{grant}")).is_ok());
}
