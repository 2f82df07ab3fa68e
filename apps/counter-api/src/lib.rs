//! The coffee shop's counter: takes orders and sees each through to its end.
//!
//! `saga` holds the steps an order goes through, each a function that can be done again without
//! harm; `api` is what clients see of it.

mod api;
mod board;
mod catalogue;
mod claim;
mod order;
mod order_list;
mod outbox;
mod placing;
mod saga;
mod settings;

use coffeeshop_common::{OrderUpdated, STATIONS, Station};
use wasmgate_sdk::{
    Router,
    dapr::pubsub::{CloudEvent, Subscription},
    serve,
};

/// The routes, as the gateway sees them after `/c` is stripped, and what is delivered.
pub fn app() -> Router {
    let router = Router::new()
        .post("/v1/api/orders", api::place)
        .get("/v1/api/orders/{id}", api::show)
        .get("/v1/api/orders/{id}/events", api::follow)
        .get("/v1/api/fulfillment-orders", board::list)
        .job(saga::JOBS, saga::see_through);
    STATIONS.into_iter().fold(router, |router, station| {
        router.subscription(reports(station))
    })
}

serve!(app);

fn reports(station: Station) -> Subscription {
    let report = |event: CloudEvent<OrderUpdated>| saga::station_reported(event.data);
    Subscription::new(station.pubsub(), station.updated_topic(), report)
        .dead_letter_topic(station.updated_dead_letter_topic())
}

#[cfg(test)]
mod tests;
