//! Orders that are kept, brewed by an event, and looked after by a job. What the package may use of Dapr's building
//! blocks is granted in `wasmgate.toml`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmgate_sdk::{
    Error, Json, Request, Router, StatusCode,
    dapr::{
        self,
        jobs::DueJob,
        pubsub::{CloudEvent, Subscription},
        state::Save,
    },
    serve,
};

const STORE: &str = "statestore";
const PUBSUB: &str = "pubsub";

#[derive(Clone, Deserialize, Serialize)]
struct Order {
    id: String,
    drink: String,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Default, Deserialize, PartialEq, Serialize)]
enum Status {
    #[default]
    Placed,
    Ready,
    Late,
}

/// The routes, below the prefix that `wasmgate.toml` takes off; the events and jobs, which come by ways of their own.
pub fn app() -> Router {
    let brewing = Subscription::new(PUBSUB, "orders", brew).dead_letter_topic("orders-dead");
    Router::new()
        .post("/", place)
        .get("/{id}", show)
        .subscription(brewing)
        .subscribe(PUBSUB, "orders-dead", give_up)
        .job("late-*", late)
}

serve!(app);

/// Keeps a new order, tells whoever brews, and looks after it a minute later.
async fn place(mut request: Request) -> Result<(StatusCode, Json<Order>), Error> {
    let order: Order = request.json().await?;
    // 409 when there is one already.
    let saved = Save::new(&order.id, &order).first_write();
    dapr::state(STORE).transaction().save(saved).commit().await?;
    dapr::pubsub(PUBSUB).publish("orders", &order).await?;
    dapr::job(format!("late-{}", order.id))
        .due_in(Duration::from_secs(60))
        .data(&order.id)
        .overwrite()
        .schedule()
        .await?;
    Ok((StatusCode::ACCEPTED, Json(order)))
}

/// 404 when there is none.
async fn show(request: Request) -> Result<Option<Json<Order>>, Error> {
    let id = request.param("id").unwrap_or_default();
    let order: Option<Order> = dapr::state(STORE).get(&id).await?;
    Ok(order.map(Json))
}

/// An error is tried again, and then goes to `orders-dead`; the same event may come twice.
async fn brew(event: CloudEvent<Order>) -> Result<(), Error> {
    settle(&event.data.id, Status::Ready).await
}

/// What could not be brewed.
async fn give_up(event: CloudEvent<Order>) -> Result<(), Error> {
    println!("order {} was never brewed", event.data.id);
    Ok(())
}

async fn late(job: DueJob<String>) -> Result<(), Error> {
    settle(&job.data, Status::Late).await
}

/// Moves an order on if it still waits: reads, changes and writes, and again if somebody else was faster.
async fn settle(id: &str, status: Status) -> Result<(), Error> {
    let change = |old: Option<Order>| match old {
        Some(order) if order.status == Status::Placed => Ok(Some(Order {
            status: status.clone(),
            ..order
        })),
        _ => Ok(None),
    };
    dapr::state(STORE).try_update(id, change).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
