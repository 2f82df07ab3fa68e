//! Lock scenarios.

use serde_json::json;

use crate::harness::{Apps, World, eventually, unique};

fn apps() -> Apps {
    Apps::default()
}

crate::scenarios!(
    a_lock_has_one_owner_until_it_is_given_back,
    a_lock_expires,
    a_lock_without_owner_or_store_is_refused,
);

async fn lock(world: &World, resource: &str, owner: &str, seconds: i64) -> bool {
    let body = json!({"resourceId": resource, "lockOwner": owner, "expiryInSeconds": seconds});
    let answer = world
        .call("POST", "/v1.0-alpha1/lock/lockstore", body.to_string())
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["success"] == true
}

async fn unlock(world: &World, resource: &str, owner: &str) -> i64 {
    let body = json!({"resourceId": resource, "lockOwner": owner}).to_string();
    let answer = world
        .call("POST", "/v1.0-alpha1/unlock/lockstore", body)
        .await;
    answer.json()["status"].as_i64().unwrap()
}

async fn a_lock_has_one_owner_until_it_is_given_back(world: &World) {
    let resource = unique("r");
    assert_eq!(unlock(world, &resource, "a").await, 1);
    assert!(lock(world, &resource, "a", 60).await);
    assert!(!lock(world, &resource, "b", 60).await);
    assert_eq!(unlock(world, &resource, "b").await, 2);
    assert_eq!(unlock(world, &resource, "a").await, 0);
    assert!(lock(world, &resource, "b", 60).await);
}

async fn a_lock_expires(world: &World) {
    let resource = unique("r");
    assert!(lock(world, &resource, "a", 1).await);
    eventually("the lock expires", || lock(world, &resource, "b", 60)).await;
}

async fn a_lock_without_owner_or_store_is_refused(world: &World) {
    let body = json!({"resourceId": "r", "expiryInSeconds": 1}).to_string();
    let answer = world
        .call("POST", "/v1.0-alpha1/lock/lockstore", body)
        .await;
    assert_eq!(answer.status, 400);
    let body = json!({"resourceId": "r", "lockOwner": "a", "expiryInSeconds": 1}).to_string();
    let answer = world.call("POST", "/v1.0-alpha1/lock/nosuch", body).await;
    answer.fails(400, "ERR_LOCK_STORE_NOT_FOUND");
    let body = json!({"resourceId": "a||b", "lockOwner": "a", "expiryInSeconds": 1}).to_string();
    let answer = world
        .call("POST", "/v1.0-alpha1/lock/lockstore", body)
        .await;
    answer.fails(500, "ERR_TRY_LOCK");
}

#[tokio::test]
async fn a_claim_is_read_as_the_json_of_protobuf() {
    let world = &World::in_process(apps()).await;
    let resource = unique("r");
    let body = json!({"resource_id": resource, "lock_owner": "a", "expiry_in_seconds": "60"});
    let path = "/v1.0-alpha1/lock/lockstore";
    let answer = world.call("POST", path, body.to_string()).await;
    assert_eq!(answer.json(), json!({"success": true}));
    assert!(!lock(world, &resource, "b", 60).await);
}
