//! Resource YAML, good and bad.

use wasmgate_common::{Code, Diagnostic, OwnPlaces};
use wasmgate_dapr::{Dapr, Settings};

use crate::harness::{Apps, World, add_components};

/// Checks these files and answers with all that is wrong.
fn diagnostics(files: &[(&str, &str)], substitute: bool) -> Vec<Diagnostic> {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut settings = Settings {
        data,
        substitute,
        ..Settings::default()
    };
    add_components(&mut settings, files);
    Dapr::check(&settings).map_or_else(Vec::from, |()| Vec::new())
}

fn mistakes(files: &[(&str, &str)], substitute: bool) -> Vec<String> {
    let all = diagnostics(files, substitute).into_iter();
    all.map(|mistake| mistake.to_string()).collect()
}

#[test]
fn a_mistake_has_its_kind_its_place_and_help_apart_from_its_message() {
    let file = component("other", "state.redis", "") + "---\n" + &component("c", "bindings.cron", "");
    let all = diagnostics(&[("a.yaml", &file)], false);
    let told: Vec<_> = all
        .iter()
        .map(|it| {
            (
                it.code,
                it.place.document,
                it.place.key.as_str(),
                it.message.as_str(),
                it.help.as_str(),
            )
        })
        .collect();
    let stand_in = "set substitute = true to have the embedded kind stand in for it, or use mode = \"sidecar\"";
    assert_eq!(
        told,
        [
            (
                Code::Unsupported,
                Some(1),
                "spec.type",
                "\"state.redis\" is not embedded",
                stand_in
            ),
            (
                Code::MissingKey,
                Some(2),
                "spec.metadata.schedule",
                "is missing",
                "add it"
            ),
        ]
    );
}

fn component(name: &str, kind: &str, metadata: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\n\
         spec: {{type: {kind}, version: v1, metadata: [{metadata}]}}\n"
    )
}

#[test]
fn every_mistake_is_told_with_file_document_and_key() {
    let good = component("statestore", "state.sqlite", "");
    let redis = component("other", "state.redis", "");
    let twice = component("statestore", "state.sqlite", "");
    let secret = component(
        "s",
        "state.sqlite",
        "{name: k, secretKeyRef: {name: a, key: b}}",
    );
    let cron = component("c", "bindings.cron", "{name: schedule, value: nonsense}");
    let first = format!("{good}---\n{redis}---\n{twice}");
    let second = format!("{secret}---\n{cron}");
    let all = mistakes(
        &[("a.yaml", &first), ("b.yml", &second), ("c.txt", "{{{")],
        false,
    );
    assert_eq!(all.len(), 4, "{all:#?}");
    for (file, document, key) in [
        ("a.yaml", "document 2", "spec.type"),
        ("a.yaml", "document 3", "metadata.name"),
        ("b.yml", "document 1", "spec.metadata.k"),
        ("b.yml", "document 2", "spec.metadata.schedule"),
    ] {
        let told = all
            .iter()
            .any(|m| m.contains(file) && m.contains(document) && m.contains(key));
        assert!(told, "{file} {document} {key}: {all:#?}");
    }
}

#[test]
fn apps_keep_no_files_where_component_files_or_the_data_are() {
    for root in [".", "/", "..", "/proc"] {
        let metadata = format!("{{name: rootPath, value: '{root}'}}");
        let files = component("files", "bindings.localstorage", &metadata);
        let all = mistakes(&[("a.yaml", &files)], false);
        let told = all.len() == 1 && all[0].contains("spec.metadata.rootPath");
        assert!(told, "{root}: {all:?}");
    }
}

#[test]
fn apps_keep_no_files_where_the_embedding_program_has_its_own() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    std::fs::create_dir(folder.join("cache")).unwrap();
    std::os::unix::fs::symlink("cache", folder.join("link")).unwrap();
    let mut own = OwnPlaces::default();
    own.add("compiled code", &folder.join("cache"), true);
    let check = |root: &str| {
        let metadata = format!(
            "{{name: rootPath, value: '{}'}}",
            folder.join(root).display()
        );
        let files = component("files", "bindings.localstorage", &metadata);
        let mut settings = Settings {
            data: folder.join("data"),
            own: own.clone(),
            ..Settings::default()
        };
        add_components(&mut settings, &[("a.yaml", &files)]);
        let told = Dapr::check(&settings).map_or_else(Vec::from, |()| Vec::new());
        told.into_iter().map(|it| it.message).collect::<Vec<_>>()
    };
    for root in ["cache", "cache/deep", "link", "link/deep", "x/../cache", ""] {
        let told = check(root);
        assert!(
            told.len() == 1 && told[0].contains("compiled code is there"),
            "{root}: {told:?}"
        );
    }
    assert!(
        !folder.join("cache/deep").exists(),
        "a folder was made there"
    );
    assert_eq!(check("uploads"), Vec::<String>::new());
}

#[test]
fn a_route_that_no_request_can_be_sent_to_is_found_at_the_start() {
    let subscription = "apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata: {name: s}\n\
                        spec: {pubsubname: p, topic: t, routes: {default: '/a b'}}\n";
    let cron = |name: &str, more: &str| {
        let schedule = format!("{{name: schedule, value: '@daily'}}{more}");
        component(name, "bindings.cron", &schedule)
    };
    for (text, key, route) in [
        (subscription, "spec", "\"/a b\""),
        (
            &cron("tick", ", {name: route, value: '/a#b'}"),
            "spec.metadata.route",
            "\"/a#b\"",
        ),
        (&cron("my tick", ""), "metadata.name", "\"my tick\""),
    ] {
        let all = diagnostics(&[("a.yaml", text)], false);
        let [one] = all.as_slice() else {
            panic!("not one mistake but {all:#?}");
        };
        assert_eq!(
            (one.code, one.place.key.as_str()),
            (Code::InvalidValue, key)
        );
        assert!(one.message.contains(route), "{one}");
    }
    let right = cron("my tick", ", {name: route, value: 'tick?every=day'}");
    assert_eq!(mistakes(&[("a.yaml", &right)], false), Vec::<String>::new());
}

#[test]
fn a_syntax_error_names_its_file() {
    let all = mistakes(&[("broken.yaml", "kind: [Component")], false);
    assert!(all.len() == 1 && all[0].contains("broken.yaml"), "{all:?}");
}

#[test]
fn brackets_within_each_other_without_end_are_refused_at_once() {
    let (begin, text) = (std::time::Instant::now(), "[{".repeat(50_000));
    let all = mistakes(&[("deep.yaml", &format!("kind: {text}"))], false);
    assert!(
        all.len() == 1 && all[0].contains("deep.yaml") && all[0].contains("brackets"),
        "{all:?}"
    );
    // It took half a minute.
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
}

#[test]
fn a_missing_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let components = Some(folder.path().join("nowhere"));
    let data = folder.path().join("data");
    assert!(
        Dapr::open(Settings {
            data,
            components,
            ..Settings::default()
        })
        .is_err()
    );
}

#[test]
fn rules_that_are_no_cel_are_found_at_the_start() {
    let text = "apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata: {name: s}\n\
                spec: {pubsubname: p, topic: t, routes: {rules: [{match: 'event.', path: /x}]}}\n";
    assert_eq!(mistakes(&[("s.yaml", text)], false).len(), 1);
}

#[tokio::test]
async fn substitutes_stand_in_for_types_that_are_not_embedded() {
    let text = [
        component(
            "statestore",
            "state.redis",
            "{name: redisHost, value: 'x:6379'}",
        ),
        component("pubsub", "pubsub.kafka", "{name: brokers, value: x}"),
        component("lockstore", "lock.redis", ""),
        component("configstore", "configuration.redis", ""),
    ]
    .join("---\n");
    let world = World::with(
        crate::harness::Kind::InProcess,
        Apps::default(),
        |settings| {
            settings.substitute = true;
            add_components(settings, &[("all.yaml", &text)]);
        },
    )
    .await;
    assert_eq!(
        world
            .call("GET", "/v1.0/state/statestore/k", "")
            .await
            .status,
        204
    );
    assert_eq!(
        world
            .call("POST", "/v1.0/publish/pubsub/t", "{}")
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn scopes_hide_a_component_and_prefixes_share_keys() {
    let text = [
        component("private", "state.sqlite", "") + "scopes: [other]\n",
        component("shared", "state.sqlite", "{name: keyPrefix, value: none}"),
        component("secrets", "secretstores.local.env", ""),
        component(
            "fixed",
            "state.sqlite",
            "{name: keyPrefix, secretKeyRef: {name: GREETING}}",
        ) + "auth: {secretStore: secrets}\n",
    ]
    .join("---\n");
    let world = World::with_components(Apps::default(), &[("all.yaml", &text)]).await;
    let hidden = world.call("GET", "/v1.0/state/private/k", "").await;
    hidden.fails(400, "ERR_STATE_STORE_NOT_FOUND");
    let item = r#"[{"key":"k","value":1}]"#;
    let all = wasmgate_dapr::Grants::all();
    for store in ["shared", "fixed"] {
        let path = format!("/v1.0/state/{store}");
        assert_eq!(world.call("POST", &path, item).await.status, 204);
        let seen = world
            .call_as("other", &all, "GET", &format!("{path}/k"), "")
            .await;
        assert_eq!(seen.status, 200, "{store}");
    }
}
