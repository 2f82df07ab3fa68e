//! `Idempotency-Key`: the same request again is the same order.
//!
//! As the IETF's draft has it (draft-ietf-httpapi-idempotency-key-header): the key with another
//! request is 422.

use std::time::Duration;

use coffeeshop_common::{OrderId, STORE};
use serde::{Deserialize, Serialize};
use wasmgate_sdk::{Error, Request, dapr, dapr::state::Save, percent_encode};

use crate::placing::PlaceOrder;

/// The time for which a key is remembered: longer than any client retries.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest key, in bytes: a UUID is 36, and a state store's key has to have room for it.
const KEY_BYTES_MAX: usize = 128;

/// A key a client has sent.
pub(crate) struct IdempotencyKey(String);

/// The record of a key.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Claim<P> {
    order_id: OrderId,
    request: P,
}

impl IdempotencyKey {
    /// The request's key, if it has one; 400 when it is unfit.
    pub(crate) fn from_request(request: &Request) -> Result<Option<Self>, Error> {
        let Some(value) = request.header("idempotency-key") else {
            return Ok(None);
        };
        let key = value.trim().trim_matches('"');
        let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !printable {
            return Err(Error::bad_request(format!(
                "an Idempotency-Key is 1 to {KEY_BYTES_MAX} printable ASCII characters"
            )));
        }
        Ok(Some(IdempotencyKey(key.to_owned())))
    }

    /// The order that was placed with the key before, if any; 422 when it was another order.
    pub(crate) async fn find_claimed(&self, placing: &PlaceOrder) -> Result<Option<OrderId>, Error> {
        let claim: Option<Claim<PlaceOrder>> = dapr::state(STORE).get(&self.state_key()).await?;
        match claim {
            None => Ok(None),
            Some(claim) if claim.request == *placing => Ok(Some(claim.order_id)),
            Some(_) => Err(Error::new(
                422,
                "the Idempotency-Key was used for another order; write a new key",
            )),
        }
    }

    /// To be part of the order's transaction.
    pub(crate) fn save(&self, order_id: OrderId, request: &PlaceOrder) -> Save {
        let claim = Claim { order_id, request };
        Save::new(self.state_key(), &claim)
            .first_write()
            .ttl(REMEMBERED)
    }

    fn state_key(&self) -> String {
        // Encoded, as state keys may not hold `||`.
        format!("idempotency-{}", percent_encode(&self.0))
    }
}
