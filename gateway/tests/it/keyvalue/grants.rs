//! What a grant of buckets opens, and what is told of one that is wrong.

use super::*;

#[tokio::test]
async fn without_a_grant_every_bucket_is_closed_and_a_name_that_is_not_granted_is_unknown() {
    for (lines, error) in [
        ("", "Error::AccessDenied"),
        (
            r#"dapr = { state = ["statestore"] }"#,
            "Error::AccessDenied",
        ),
        (
            r#"keyvalue = { other = "statestore" }"#,
            "Error::NoSuchStore",
        ),
    ] {
        let gateway = keeper(lines).start();
        for version in VERSIONS {
            for name in ["default", "", "statestore"] {
                let open = json!({"version": version, "do": "open", "bucket": name});
                assert_eq!(
                    told(&gateway, open).await,
                    json!({"error": error}),
                    "{lines}"
                );
            }
        }
        gateway
            .wait_for_event(&[("package", "keeper"), ("bucket", "statestore")])
            .await;
    }
}

#[tokio::test]
async fn a_grant_of_buckets_opens_nothing_of_the_dapr_api() {
    let gateway = TestGateway::builder()
        .guest_as(
            "shop",
            "calls_dapr",
            r#"keyvalue = { default = "statestore" }"#,
        )
        .start();
    let reply = gateway
        .call("shop", "GET", "/v1.0/state/statestore/k", "")
        .await;
    assert_eq!(reply.status, 403, "{}", reply.text());
}

#[tokio::test]
async fn buckets_of_one_store_are_apart_by_their_words() {
    let lines = r#"keyvalue = { default = "statestore/a", users = "statestore/users", all = "statestore" }"#;
    let gateway = keeper(lines).start();
    for version in VERSIONS {
        for bucket in ["default", "users"] {
            let set = json!({"do": "set", "bucket": bucket, "key": "k", "value": bytes(bucket)});
            ask(&gateway, version, set).await;
        }
        for bucket in ["default", "users"] {
            let get = json!({"do": "get", "bucket": bucket, "key": "k"});
            assert_eq!(ask(&gateway, version, get).await, bytes(bucket));
            let list = json!({"do": "list", "bucket": bucket});
            assert_eq!(
                ask(&gateway, version, list).await,
                json!({"keys": ["k"], "cursor": null})
            );
            let many = json!({"do": "get-many", "bucket": bucket, "keys": ["k"]});
            assert_eq!(
                ask(&gateway, version, many).await,
                json!([["k", bucket.as_bytes()]])
            );
        }
        let all = ask(&gateway, version, json!({"do": "list", "bucket": "all"})).await;
        assert_eq!(all["keys"], json!(["a/k", "users/k"]));
    }
}

#[test]
fn check_tells_of_a_component_whose_buckets_are_all_closed_and_of_a_store_that_is_not_there() {
    for (lines, note) in [
        (
            "",
            "package keeper imports wasi:keyvalue/store@0.2.0-draft and has no `keyvalue`",
        ),
        (
            r#"keyvalue = { default = "statstore" }"#,
            r#"default = "statstore" in its `keyvalue` opens nothing: no state store has this name; did you mean "statestore"?"#,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        keeper(lines).write_to(folder.path());
        let output = run(folder.path(), &["check"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && told.contains(note), "{told}");
    }
    let folder = tempfile::tempdir().unwrap();
    keeper(GRANTED).write_to(folder.path());
    let told = String::from_utf8(run(folder.path(), &["check"]).stdout).unwrap();
    assert!(!told.contains("note:"), "{told}");
}

#[test]
fn a_wrong_grant_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    keeper(r#"keyvalue = { default = "state*" }"#).write_to(folder.path());
    let output = run(folder.path(), &["check"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("package.keeper.keyvalue.default") && told.contains("is no bucket"),
        "{told}"
    );
}
