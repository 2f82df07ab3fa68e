//! Health, metadata and the token.

use crate::harness::{Apps, Kind, World};

fn apps() -> Apps {
    Apps::default()
}

crate::scenarios!(health_is_204, metadata_names_the_components);

async fn health_is_204(world: &World) {
    assert_eq!(world.call("GET", "/v1.0/healthz", "").await.status, 204);
    assert_eq!(
        world.call("GET", "/v1.0/healthz/outbound", "").await.status,
        204
    );
}

async fn metadata_names_the_components(world: &World) {
    let metadata = world.call("GET", "/v1.0/metadata", "").await.json();
    assert!(metadata["id"].is_string() && metadata["runtimeVersion"].is_string());
    let components = metadata["components"].as_array().unwrap();
    assert!(
        components
            .iter()
            .any(|component| component["name"] == "statestore"),
        "{metadata}"
    );
}

#[tokio::test]
async fn over_tcp_a_set_token_is_required_except_for_health() {
    let world = World::with(Kind::Tcp, apps(), |settings| {
        settings.api_token = Some("secret".to_owned());
    })
    .await;
    let path = "/v1.0/state/statestore/k";
    let denied = world.call("GET", path, "").await;
    assert_eq!(
        (denied.status, &denied.body[..]),
        (401, &b"invalid api token"[..])
    );
    let wrong = world
        .call_with("GET", path, &[("dapr-api-token", "secreT")], "")
        .await;
    assert_eq!(wrong.status, 401);
    let right = world
        .call_with("GET", path, &[("dapr-api-token", "secret")], "")
        .await;
    assert_eq!(right.status, 204);
    assert_eq!(world.call("GET", "/v1.0/healthz", "").await.status, 204);
}

#[tokio::test]
async fn a_health_check_for_another_app_fails() {
    let world = World::in_process(apps()).await;
    for (query, status) in [
        ("?appid=shop", 204),
        ("?appid=other", 500),
        ("?other=x", 204),
    ] {
        let answer = world
            .call("GET", &format!("/v1.0/healthz{query}"), "")
            .await;
        assert_eq!(answer.status, status, "{query}");
    }
    let other = world.call("GET", "/v1.0/healthz?appid=other", "").await;
    other.fails(500, "ERR_HEALTH_APPID_NOT_MATCH");
    let outbound = "/v1.0/healthz/outbound?appid=other";
    assert_eq!(world.call("GET", outbound, "").await.status, 204);
}

#[tokio::test]
async fn an_operation_is_served_under_the_versions_that_dapr_serves_it_under() {
    let world = World::in_process(apps()).await;
    let lock = r#"{"resourceId":"r","lockOwner":"a","expiryInSeconds":60}"#;
    for (method, version, path, body, served) in [
        ("GET", "v1.0", "state/statestore/k", "", true),
        ("GET", "v1.0-alpha1", "state/statestore/k", "", false),
        ("POST", "v1.0-alpha1", "state/statestore/query", "{}", true),
        ("POST", "v1.0", "state/statestore/query", "{}", false),
        ("POST", "v1.0-alpha1", "lock/lockstore", lock, true),
        ("POST", "v1.0", "lock/lockstore", lock, false),
        ("GET", "v1.0", "configuration/configstore", "", true),
        ("GET", "v1.0-alpha1", "configuration/configstore", "", true),
        ("GET", "v1.0-beta1", "configuration/configstore", "", false),
        ("GET", "v1.0", "secrets/secretstore/a/b", "", false),
        ("GET", "v2.0", "healthz", "", false),
    ] {
        let answer = world
            .call(method, &format!("/{version}/{path}"), body)
            .await;
        assert_eq!(answer.status != 404, served, "{method} {version} {path}");
    }
}

#[tokio::test]
async fn a_building_block_that_is_not_here_is_refused_by_its_name() {
    let world = World::in_process(apps()).await;
    for (path, name) in [
        ("/v1.0/workflows/dapr/order/start", "workflow"),
        ("/v1.0-beta1/workflows/dapr/order/start", "workflow"),
        ("/v1.0/actors/till/1/method/open", "actors"),
        ("/v1.0-alpha1/conversation/echo/converse", "conversation"),
        ("/v1.0-alpha1/crypto/vault/encrypt", "cryptography"),
    ] {
        let answer = world.call("POST", path, "{}").await;
        answer.fails(404, "ERR_DIRECT_INVOKE");
        let message = answer.json()["message"].to_string();
        assert!(message.contains(name), "{path}: {message}");
    }
}

#[tokio::test]
async fn a_call_of_daprs_grpc_api_is_refused_in_words_that_its_clients_show() {
    let world = World::with(Kind::Tcp, apps(), |_| ()).await;
    let method = "/dapr.proto.runtime.v1.Dapr/GetState";
    let answer = world
        .call_with("POST", method, &[("content-type", "application/grpc")], "")
        .await;
    let header = |name| answer.headers[name].to_str().unwrap();
    assert_eq!(
        (answer.status, header("content-type"), header("grpc-status")),
        (200, "application/grpc", "12")
    );
    assert!(header("grpc-message").contains("HTTP"), "{answer:?}");
}
