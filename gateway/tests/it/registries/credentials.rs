//! Who asks: credentials as Docker and Kubernetes keep them, for the registry they are for and nobody else.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tempfile::TempDir;
use wasmgate_real_dapr::DockerRegistry;

use super::opponents::{Fake, answer, manifest, reply, sha256, site, text, wasmgate};
use crate::harness::{TestGateway, guest};

const SECRET: &str = "hardly-guessed";

fn config(host: &str, user: &str, password: &str) -> String {
    let auth = STANDARD.encode(format!("{user}:{password}"));
    json!({"auths": {host: {"auth": auth}}}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_with_a_password_is_asked_with_dockers_or_a_pull_secrets() {
    let Some(registry) = DockerRegistry::new() else {
        return;
    };
    let mut registry = registry.with_password("reader", SECRET);
    registry.start().await;
    let host = registry.address().to_string();
    let folder = TempDir::new().unwrap();
    let docker = folder.path().join("config.json");
    let (hello, reference) = (guest("hello"), format!("oci://{host}/team/site:1"));
    let push = ["push", hello.to_str().unwrap(), &reference];

    let refused = wasmgate(folder.path(), &push);
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(77), "{told}");
    assert!(
        told.contains("does not let anybody without credentials push to") && told.contains("docker login"),
        "{told}"
    );
    std::fs::write(&docker, config(&host, "reader", "wrong")).unwrap();
    let refused = wasmgate(folder.path(), &push);
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(77), "{told}");
    assert!(told.contains("the user \"reader\""), "{told}");
    std::fs::write(&docker, config(&host, "reader", SECRET)).unwrap();
    let pushed = wasmgate(folder.path(), &push);
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    let gateway = site(folder.path(), &reference, "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    drop(gateway);

    // Docker knows nothing any more, and a mounted secret does.
    std::fs::remove_dir_all(folder.path().join("cache")).unwrap();
    std::fs::remove_file(&docker).unwrap();
    let secret = folder.path().join(".dockerconfigjson");
    std::fs::write(
        &secret,
        config(&format!("https://{host}/v2/"), "reader", SECRET),
    )
    .unwrap();
    let mut toml = site(folder.path(), &reference, "").toml();
    toml.push_str(&format!(
        "\n[registry.host.\"{host}\"]\ncredentials = '{}'\n",
        secret.display()
    ));
    let gateway = TestGateway::start_with(&toml, &[]);
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    for told in [
        gateway.log(),
        gateway.printed(),
        gateway.admin_get("/status").await.text(),
    ] {
        assert!(!told.contains(SECRET), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helper_is_asked_as_docker_asks_it() {
    let Some(registry) = DockerRegistry::new() else {
        return;
    };
    let mut registry = registry.with_password("reader", SECRET);
    registry.start().await;
    let host = registry.address().to_string();
    let folder = TempDir::new().unwrap();
    let helper = folder.path().join("docker-credential-ours");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = get ] && [ \"$(cat)\" = {host} ] || {{ echo 'credentials not found'; exit 1; }}\n\
         echo '{{\"ServerURL\":\"x\",\"Username\":\"reader\",\"Secret\":\"{SECRET}\"}}'\n"
    );
    std::fs::write(&helper, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&helper, mode).unwrap();
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    let hello = guest("hello");
    let reference = format!("{host}/team/site:1");
    let push = |settings: serde_json::Value| {
        std::fs::write(folder.path().join("config.json"), settings.to_string()).unwrap();
        let arguments = ["push", hello.to_str().unwrap(), &reference];
        let mut command = crate::harness::command(folder.path(), &arguments);
        command
            .env("DOCKER_CONFIG", folder.path())
            .env("PATH", &path);
        crate::harness::output_of(command)
    };
    let pushed = push(json!({"credHelpers": {host.clone(): "ours"}}));
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    let pushed = push(json!({"credsStore": "ours"}));
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    let pushed = push(json!({"credHelpers": {host: "theirs"}}));
    let told = text(&pushed.stderr);
    assert!(
        told.contains("docker-credential-theirs") && !told.contains(SECRET),
        "{told}"
    );
}

/// A registry of one component that asks for a token, which its other half gives.
fn gives_tokens(host: &str, asked: &super::opponents::Asked, component: &[u8]) -> axum::response::Response {
    if asked.target.starts_with("/token") {
        let basic = format!("Basic {}", STANDARD.encode(format!("reader:{SECRET}")));
        assert!(
            asked
                .target
                .contains("scope=repository%3Asite%3Apull&service=test"),
            "{}",
            asked.target
        );
        let is_reader = asked.authorization == Some(basic);
        return if is_reader {
            reply(200, &[], r#"{"token": "good"}"#)
        } else {
            reply(401, &[], "")
        };
    }
    if asked.authorization.as_deref() != Some("Bearer good") {
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"test\"");
        return reply(401, &[("www-authenticate", &challenge)], "");
    }
    if asked.target.contains("/manifests/") {
        return reply(
            200,
            &[],
            manifest(&sha256(component), component.len() as u64),
        );
    }
    reply(200, &[], component.to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_fetched_once_from_who_gives_it() {
    let component = std::fs::read(guest("hello")).unwrap();
    let own = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let fake = Fake::start({
        let own = std::sync::Arc::clone(&own);
        move |asked: &super::opponents::Asked| gives_tokens(own.get().unwrap(), asked, &component)
    })
    .await;
    let host = fake.address.to_string();
    own.set(host.clone()).unwrap();
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("config.json"),
        config(&host, "reader", SECRET),
    )
    .unwrap();
    let gateway = site(folder.path(), &fake.reference(), "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
    let asked = fake.asked();
    let tokens = asked
        .iter()
        .filter(|one| one.target.starts_with("/token"))
        .count();
    assert_eq!(tokens, 1, "{asked:?}");
    let others = asked.iter().filter(|one| !one.target.starts_with("/token"));
    let shown: Vec<_> = others
        .filter_map(|one| one.authorization.as_deref())
        .collect();
    assert_eq!(shown, ["Bearer good", "Bearer good"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_go_to_no_other_host_and_not_where_plain_http_is_spoken() {
    let component = std::fs::read(guest("hello")).unwrap();
    let storage = Fake::start({
        let component = component.clone();
        move |_: &super::opponents::Asked| reply(200, &[], component.clone())
    })
    .await;
    let to_storage = format!("http://{}/blob?signed=by-the-registry", storage.address);
    let fake = Fake::start({
        let component = component.clone();
        move |asked: &super::opponents::Asked| {
            if asked.authorization.is_none() {
                return reply(401, &[("www-authenticate", "Basic realm=\"x\"")], "");
            }
            if asked.target.contains("/manifests/") {
                return reply(
                    200,
                    &[],
                    manifest(&sha256(&component), component.len() as u64),
                );
            }
            reply(307, &[("location", &to_storage)], "")
        }
    })
    .await;
    let folder = TempDir::new().unwrap();
    let file = config(&fake.address.to_string(), "reader", SECRET);
    std::fs::write(folder.path().join("config.json"), file).unwrap();
    let pulled = wasmgate(folder.path(), &["pull", &fake.reference(), "-o", "x.wasm"]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    assert!(fake.asked().iter().any(|one| one.authorization.is_some()));
    let asked = storage.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].authorization, None, "{asked:?}");

    // Neither by a redirection nor to who would give a token.
    for challenge in [
        "Bearer realm=\"http://registry.invalid/token\"",
        "Bearer realm=\"http://user:x@registry.invalid/token\"",
        "Bearer realm=\"file:///etc/passwd\"",
        "Bearer realm=\"\"",
        "Bearer service=\"x\"",
    ] {
        let fake =
            Fake::start(move |_: &super::opponents::Asked| reply(401, &[("www-authenticate", challenge)], "")).await;
        let file = config(&fake.address.to_string(), "reader", SECRET);
        std::fs::write(folder.path().join("config.json"), file).unwrap();
        let pulled = wasmgate(folder.path(), &["pull", &fake.reference(), "-o", "y.wasm"]);
        let told = text(&pulled.stderr);
        assert_eq!(pulled.status.code(), Some(76), "{challenge}: {told}");
        assert!(!told.contains(SECRET), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_a_registry_leads_to_asks_for_no_credentials_of_it() {
    // Where the other host would have them brought to.
    let thief = Fake::start(|_: &super::opponents::Asked| reply(200, &[], r#"{"token": "x"}"#)).await;
    for (challenge, status) in [
        (
            format!("Bearer realm=\"http://{}/token\"", thief.address),
            401,
        ),
        ("Basic realm=\"x\"".to_owned(), 401),
        (String::new(), 403),
    ] {
        let storage =
            Fake::start(move |_: &super::opponents::Asked| reply(status, &[("www-authenticate", &challenge)], ""))
                .await;
        let (host, to) = (storage.address, format!("http://{}/blob", storage.address));
        let fake = Fake::start(move |asked: &super::opponents::Asked| {
            if asked.target.contains("/manifests/") {
                return reply(200, &[], manifest(&sha256(b"x"), 1));
            }
            reply(307, &[("location", &to)], "")
        })
        .await;
        let folder = TempDir::new().unwrap();
        let file = config(&fake.address.to_string(), "reader", SECRET);
        std::fs::write(folder.path().join("config.json"), file).unwrap();
        let pulled = wasmgate(folder.path(), &["pull", &fake.reference(), "-o", "x.wasm"]);
        let told = text(&pulled.stderr);
        assert_eq!(pulled.status.code(), Some(76), "{told}");
        let right = format!("it leads to {host}, which answers {status}");
        assert!(told.contains(&right), "{told}");
        assert_eq!(storage.asked().len(), 1);
        let shown = storage
            .asked()
            .into_iter()
            .find_map(|one| one.authorization);
        assert_eq!(shown, None);
    }
    assert!(thief.asked().is_empty(), "{:?}", thief.asked());
}
