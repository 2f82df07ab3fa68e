//! Locks in memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use super::answer::{Answer, answer_json, refuse};
use crate::Response;

/// The owners, by store and resource.
#[derive(Default)]
pub(super) struct Locks(BTreeMap<(String, String), String>);

/// The body of both calls: protobuf's, which takes either spelling of a name, and each once.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Claim {
    #[serde(alias = "resource_id")]
    resource_id: String,
    #[serde(alias = "lock_owner")]
    lock_owner: String,
    #[serde(alias = "expiry_in_seconds", deserialize_with = "number")]
    expiry_in_seconds: i32,
}

impl Locks {
    pub(super) fn lock(&mut self, store: &str, body: &[u8]) -> Answer {
        let claim = Claim::read(body, "ERR_TRY_LOCK")?;
        if claim.expiry_in_seconds <= 0 {
            return refuse(
                400,
                "ERR_MALFORMED_REQUEST",
                "expiryInSeconds is not positive",
            );
        }
        let resource = (store.to_owned(), claim.resource_id);
        let free = !self.0.contains_key(&resource);
        if free {
            self.0.insert(resource, claim.lock_owner);
        }
        Ok(Response::json(&json!({"success": free})))
    }

    pub(super) fn unlock(&mut self, store: &str, body: &[u8]) -> Answer {
        let claim = Claim::read(body, "ERR_UNLOCK")?;
        let resource = (store.to_owned(), claim.resource_id);
        let status = match self.0.get(&resource) {
            None => 1,
            Some(holder) if *holder != claim.lock_owner => 2,
            Some(_) => {
                self.0.remove(&resource);
                0
            }
        };
        Ok(Response::json(&json!({"status": status})))
    }
}

impl Claim {
    fn read(body: &[u8], code: &str) -> Result<Self, Response> {
        let claim: Claim = answer_json(body)?;
        if claim.resource_id.is_empty() || claim.lock_owner.is_empty() {
            return refuse(
                400,
                "ERR_MALFORMED_REQUEST",
                "resourceId or lockOwner is empty",
            );
        }
        if claim.resource_id.contains("||") {
            return refuse(500, code, "a resource may not contain `||`");
        }
        Ok(claim)
    }
}

/// A number, which may be written as a text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let number = match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    };
    let number = number.and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| de::Error::custom("no 32-bit number"))
}
