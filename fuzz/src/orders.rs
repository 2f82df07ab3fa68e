//! What operators send to the admin listener.

use wasmgate::admin::Order;

/// The body of a call that releases or drops parked events: it is refused, or says the same when it is written again.
pub fn orders(data: &[u8]) {
    let Ok(order) = serde_json::from_slice::<Order>(data) else {
        return;
    };
    let written = serde_json::to_vec(&order).unwrap_or_default();
    let again = serde_json::from_slice::<Order>(&written);
    let again = again.ok().and_then(|order| serde_json::to_vec(&order).ok());
    assert_eq!(again, Some(written), "{order:?}");
}
