//! Secret scenarios.

use serde_json::json;
use wasmgate_dapr::{Globs, Grants};

use crate::harness::{Apps, Kind, World, add_components};

#[tokio::test]
async fn the_gateways_own_environment_is_no_secret_unless_it_is_listed() {
    let component = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: secretstore}
spec: {type: secretstores.local.env, version: v1}
";
    for files in [&[][..], &[("env.yaml", component)][..]] {
        for kind in [Kind::InProcess, Kind::Tcp] {
            let world = World::with(kind, Apps::default(), |settings| {
                settings
                    .environment
                    .insert("DATABASE_URL".to_owned(), "hush".to_owned());
                settings.secret_env = Globs::default();
                if !files.is_empty() {
                    add_components(settings, files);
                }
            })
            .await;
            for name in ["GREETING", "DATABASE_URL"] {
                let one = format!("/v1.0/secrets/secretstore/{name}");
                let answer = world.call("GET", &one, "").await;
                let told = answer.json()["message"].to_string();
                assert!(told.contains("[dapr] secret_env"), "{told}");
                answer.fails(500, "ERR_SECRET_GET");
            }
            let bulk = world
                .call("GET", "/v1.0/secrets/secretstore/bulk", "")
                .await;
            assert_eq!(bulk.json(), json!({}));
        }
    }
}

#[tokio::test]
async fn the_default_store_reads_what_is_listed_of_the_environment() {
    for kind in [Kind::InProcess, Kind::Tcp] {
        let world = World::with(kind, Apps::default(), |_| {}).await;
        let answer = world
            .call("GET", "/v1.0/secrets/secretstore/GREETING", "")
            .await;
        assert_eq!(answer.json(), json!({"GREETING": "hello"}));
        let bulk = world
            .call("GET", "/v1.0/secrets/secretstore/bulk", "")
            .await;
        assert_eq!(bulk.json(), json!({"GREETING": {"GREETING": "hello"}}));
    }
}

#[tokio::test]
async fn missing_secrets_and_stores_are_told_apart() {
    let world = World::in_process(Apps::default()).await;
    world
        .call("GET", "/v1.0/secrets/secretstore/NOPE", "")
        .await
        .fails(500, "ERR_SECRET_GET");
    let answer = world.call("GET", "/v1.0/secrets/nosuch/NOPE", "").await;
    answer.fails(401, "ERR_SECRET_STORE_NOT_FOUND");
}

#[tokio::test]
async fn only_granted_secrets_are_seen() {
    let secrets = r#"{"db":{"password":"p"},"api":"a"}"#;
    let component = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: vault}
spec:
  type: secretstores.local.file
  version: v1
  metadata:
  - {name: secretsFile, value: secrets.json}
";
    let files = [("vault.yaml", component), ("secrets.json", secrets)];
    let world = World::with_components(Apps::default(), &files).await;
    let grants = Grants {
        secrets: Globs::new(["vault/db*"]).unwrap(),
        ..Grants::none()
    };
    let get = |path: &'static str| world.call_as("shop", &grants, "GET", path, "");
    assert_eq!(
        get("/v1.0/secrets/vault/db:password").await.json(),
        json!({"db:password": "p"})
    );
    get("/v1.0/secrets/vault/api")
        .await
        .fails(403, "ERR_PERMISSION_DENIED");
    let bulk = get("/v1.0/secrets/vault/bulk").await.json();
    assert_eq!(bulk, json!({"db:password": {"db:password": "p"}}));
}
