//! What a package without the grant is told.

use wasmgate_dapr::Grants;

use crate::harness::{Apps, World};

#[tokio::test]
async fn without_a_grant_every_block_is_a_403_that_names_the_grant() {
    let world = World::in_process(Apps::default()).await;
    let job = r#"{"dueTime":"1s"}"#;
    let lock = r#"{"resourceId":"r","lockOwner":"o","expiryInSeconds":1}"#;
    for (method, path, body, grant) in [
        (
            "GET",
            "/v1.0/state/statestore/k",
            "",
            r#"state = ["statestore"]"#,
        ),
        (
            "POST",
            "/v1.0/state/statestore",
            "[]",
            r#"state = ["statestore"]"#,
        ),
        (
            "DELETE",
            "/v1.0/state/statestore/k",
            "",
            r#"state = ["statestore"]"#,
        ),
        (
            "POST",
            "/v1.0/state/statestore/bulk",
            "{}",
            r#"state = ["statestore"]"#,
        ),
        (
            "POST",
            "/v1.0/state/statestore/transaction",
            "{}",
            r#"state = ["statestore"]"#,
        ),
        (
            "POST",
            "/v1.0-alpha1/state/statestore/query",
            "{}",
            r#"state = ["statestore"]"#,
        ),
        (
            "POST",
            "/v1.0/publish/pubsub/a/b",
            "{}",
            r#"publish = ["pubsub/a/b"]"#,
        ),
        (
            "POST",
            "/v1.0/publish/bulk/pubsub/t",
            "[]",
            r#"publish = ["pubsub/t"]"#,
        ),
        (
            "GET",
            "/v1.0/invoke/other/method/x",
            "",
            r#"invoke = ["other"]"#,
        ),
        ("POST", "/v1.0/bindings/b", "{}", r#"bindings = ["b"]"#),
        (
            "GET",
            "/v1.0/secrets/secretstore/GREETING",
            "",
            r#"secrets = ["secretstore/GREETING"]"#,
        ),
        (
            "GET",
            "/v1.0/secrets/secretstore/bulk",
            "",
            r#"secrets = ["secretstore"]"#,
        ),
        (
            "GET",
            "/v1.0/configuration/configstore?key=a",
            "",
            r#"configuration = ["configstore/a"]"#,
        ),
        (
            "GET",
            "/v1.0/configuration/configstore",
            "",
            r#"configuration = ["configstore"]"#,
        ),
        (
            "GET",
            "/v1.0/configuration/configstore/subscribe",
            "",
            r#"configuration = ["configstore"]"#,
        ),
        (
            "POST",
            "/v1.0-alpha1/lock/lockstore",
            lock,
            r#"lock = ["lockstore"]"#,
        ),
        (
            "POST",
            "/v1.0-alpha1/unlock/lockstore",
            lock,
            r#"lock = ["lockstore"]"#,
        ),
        ("POST", "/v1.0/jobs/j", job, "jobs = true"),
        ("GET", "/v1.0/jobs/j", "", "jobs = true"),
        ("DELETE", "/v1.0/jobs/j", "", "jobs = true"),
    ] {
        let denied = world
            .call_as("shop", &Grants::none(), method, path, body)
            .await;
        assert_eq!(denied.status, 403, "{method} {path}");
        assert_eq!(denied.header("content-type"), "application/problem+json");
        assert_eq!(denied.json()["grant"], grant, "{method} {path}");
    }
}
