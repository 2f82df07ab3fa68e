//! Events that are saved together with their order and published after it.
//!
//! They are in the outbox from the order's own transaction on until all are published, so they are
//! published at least once if the order is saved, and never if it is not. Each keeps its id when it
//! is published again.

use coffeeshop_common::{OrderId, OrderPlaced, STATIONS, STORE, Station};
use serde::{Deserialize, Serialize};
use wasmgate_sdk::dapr::{self, pubsub::Message, state::Save};

use crate::order::Order;

/// An order's events that may not have been published yet.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outbox {
    order_id: OrderId,
    barista: Option<OrderPlaced>,
    kitchen: Option<OrderPlaced>,
}

impl Outbox {
    /// The events of a new order, one for each station with something to make.
    pub(crate) fn from_order(order: &Order) -> Self {
        Outbox {
            order_id: order.id,
            barista: order.placed_at_station(Station::Barista),
            kitchen: order.placed_at_station(Station::Kitchen),
        }
    }

    /// Loads what is left in an order's outbox, if anything.
    pub(crate) async fn load(id: OrderId) -> Result<Option<Self>, dapr::Error> {
        dapr::state(STORE).get(&key(id)).await
    }

    /// To be part of the order's transaction.
    pub(crate) fn save(&self) -> Save {
        Save::new(key(self.order_id), self).first_write()
    }

    /// Publishes everything, and empties it.
    pub(crate) async fn publish(&self) -> Result<(), dapr::Error> {
        for station in STATIONS {
            let event = match station {
                Station::Barista => &self.barista,
                Station::Kitchen => &self.kitchen,
            };
            if let Some(event) = event {
                let id = format!("{}-{}-placed", self.order_id, station.name());
                dapr::pubsub(station.pubsub())
                    .send(station.placed_topic(), Message::json(event).id(id))
                    .await?;
            }
        }
        self.delete().await
    }

    /// Empties it.
    pub(crate) async fn delete(&self) -> Result<(), dapr::Error> {
        dapr::state(STORE).delete(&key(self.order_id)).await
    }
}

fn key(id: OrderId) -> String {
    format!("outbox-{id}")
}
