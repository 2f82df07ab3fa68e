//! The ordering saga: the steps from placing an order to its end.
//!
//! ```text
//! schedule ─► save ─► publish ─► station_reported … ─► FULFILLED
//!     │                               │
//!     └─────► see_through, again and again until the order has ended ─► REFUNDED
//! ```
//!
//! Whatever ends between two steps, an order that was saved comes to its end: a job that is
//! scheduled before the order is saved does the rest. Every step may be done twice: saves are
//! conditional, events keep their ids, and an order that has ended does not change.

use std::time::{Duration, SystemTime};

use coffeeshop_common::{OrderId, OrderUpdated, STORE, Status};
use serde::{Deserialize, Serialize};
use wasmgate_sdk::{
    Error,
    dapr::{
        self, Delivery,
        jobs::DueJob,
        state::{self, Save},
    },
};

use crate::{
    claim::IdempotencyKey, order::Order, order_list::OrderList, outbox::Outbox, placing::PlaceOrder, settings,
};

/// The jobs that see orders through, one for each order.
pub(crate) const JOBS: &str = "order-*";

/// The interval at which an order that has not ended is looked at: a tenth of its time-out, so that a refund
/// is late by no more than that, within these bounds.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(200);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(3);

/// The time after its job was scheduled in which an order may be saved: longer than a request to this
/// package may take.
const SAVED_WITHIN: Duration = Duration::from_secs(300);

/// Tries of a step when Dapr cannot be reached, and the first pause; it doubles.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The data of an order's job.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SeeThrough {
    order_id: OrderId,
    /// Milliseconds since 1970.
    scheduled_ms: u64,
}

/// Takes an order from its request to its stations; the id of the order, which is the one of
/// before when the idempotency key was used before.
pub(crate) async fn place(order: &Order, placing: &PlaceOrder, key: Option<&IdempotencyKey>) -> Result<OrderId, Error> {
    schedule(order.id).await?;
    let id = save(order, placing, key).await?;
    if id == order.id {
        notify(order.id, order.order_status);
        // The order is taken, so the client is told so: what is still to publish, the job does.
        if let Err(error) = publish(Outbox::from_order(order)).await {
            eprintln!("order {id}: its events are published later: {error}");
        }
    }
    Ok(id)
}

/// Step 1: whatever happens from now on, somebody looks at the order again.
async fn schedule(id: OrderId) -> Result<(), Error> {
    let period = (settings::order_timeout()? / 10).clamp(LOOK_AGAIN_MIN, LOOK_AGAIN_MAX);
    let data = SeeThrough {
        order_id: id,
        scheduled_ms: now_ms(),
    };
    let schedule = async || {
        let job = dapr::job(job_name(id)).due_in(period).every(period);
        job.data(&data).overwrite().schedule().await
    };
    Ok(with_retries(schedule).await?)
}

/// Step 2: the order, its place in the list, its events and its idempotency key, all or nothing.
async fn save(order: &Order, placing: &PlaceOrder, key: Option<&IdempotencyKey>) -> Result<OrderId, Error> {
    let store = dapr::state(STORE);
    let saved = state::retry_mismatches(async || {
        if let Some(key) = key
            && let Some(before) = key.find_claimed(placing).await?
        {
            return Ok(before);
        }
        let mut transaction = store
            .transaction()
            .save(Save::new(order.id.key(), order).first_write())
            .save(Outbox::from_order(order).save());
        for save in OrderList::read().await?.append(order.id) {
            transaction = transaction.save(save);
        }
        if let Some(key) = key {
            transaction = transaction.save(key.save(order.id, placing));
        }
        transaction.commit().await?;
        Ok(order.id)
    })
    .await;
    saved.map_err(|error| match error.status().as_u16() {
        // Others were faster every time. Nothing is wrong with the order.
        409 => Error::new(503, "too many orders at once; try again")
            .with_header("retry-after", "1")
            .with_source(error.to_string()),
        _ => error,
    })
}

/// Step 3: tells the stations.
async fn publish(outbox: Outbox) -> Result<(), Error> {
    Ok(with_retries(async || outbox.publish().await).await?)
}

/// Step 4, once for each station: notes what is made.
pub(crate) async fn station_reported(report: OrderUpdated) -> Result<Delivery, Error> {
    let id = report.order_id;
    let mut known = true;
    let change = |order: Option<Order>| {
        known = order.is_some();
        let made = order.and_then(|order| order.made(&report.item_lines, SystemTime::now()));
        Ok(made)
    };
    let changed = dapr::state(STORE).try_update(&id.key(), change).await?;
    if !known {
        eprintln!("order {id}: a station reports it, and it was never placed");
        return Ok(Delivery::Drop);
    }
    if let Some(order) = changed {
        notify(id, order.order_status);
        if order.order_status.is_final() {
            forget(id).await?;
        }
    }
    Ok(Delivery::Success)
}

/// The order's job: does what is left to do.
pub(crate) async fn see_through(job: DueJob<SeeThrough>) -> Result<(), Error> {
    let id = job.data.order_id;
    let Some(order) = dapr::state(STORE).get::<Order>(&id.key()).await? else {
        let since = Duration::from_millis(now_ms().saturating_sub(job.data.scheduled_ms));
        if since > SAVED_WITHIN {
            // Never saved, so never promised.
            forget(id).await?;
        }
        return Ok(());
    };
    if order.order_status.is_final() {
        return forget(id).await;
    }
    // First, so that an order is paid back even while nothing can be published.
    if order.is_older_than(settings::order_timeout()?, SystemTime::now()) {
        refund(id).await?;
        return forget(id).await;
    }
    match Outbox::load(id).await? {
        Some(outbox) => publish(outbox).await,
        None => Ok(()),
    }
}

/// Pays an order back, unless it has ended meanwhile.
async fn refund(id: OrderId) -> Result<(), Error> {
    let change = |order: Option<Order>| Ok(order.and_then(|order| order.refunded(SystemTime::now())));
    if let Some(order) = dapr::state(STORE).try_update(&id.key(), change).await? {
        notify(id, order.order_status);
    }
    Ok(())
}

/// The order has ended: nothing is left to publish, and nobody has to look at it again.
async fn forget(id: OrderId) -> Result<(), Error> {
    let forget = async || {
        // Left over when something ended between publishing and this; most often it is not there.
        if let Some(outbox) = Outbox::load(id).await? {
            outbox.delete().await?;
        }
        dapr::job(job_name(id)).delete().await
    };
    Ok(with_retries(forget).await?)
}

/// Tells the shop's people, who read the log.
fn notify(id: OrderId, status: Status) {
    println!("order {id}: {}", status.name());
}

/// Does a step again, after growing pauses, while Dapr cannot be reached.
async fn with_retries(step: impl AsyncFn() -> Result<(), dapr::Error>) -> Result<(), dapr::Error> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match step().await {
            Err(error) if error.is_retryable() => wasmgate_sdk::time::sleep(pause).await,
            result => return result,
        }
        pause *= 2;
    }
    step().await
}

fn job_name(id: OrderId) -> String {
    format!("order-{id}")
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
