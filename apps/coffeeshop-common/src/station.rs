//! The stations, barista and kitchen, which differ in their names and in what they make.

use wasmgate_sdk::{
    Error, Router,
    dapr::{
        self, Delivery,
        pubsub::{CloudEvent, Message, Subscription},
    },
};

use crate::{Made, MadeLine, OrderPlaced, OrderUpdated, STORE};

/// The first item type that is food; those before it are drinks.
const FIRST_FOOD: u32 = 6;

/// A place where things are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Station {
    /// Makes drinks.
    Barista,
    /// Makes food.
    Kitchen,
}

/// Every station.
pub const STATIONS: [Station; 2] = [Station::Barista, Station::Kitchen];

impl Station {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Station::Barista => "barista",
            Station::Kitchen => "kitchen",
        }
    }

    /// The pub/sub component between it and the counter.
    pub const fn pubsub(self) -> &'static str {
        match self {
            Station::Barista => "baristapubsub",
            Station::Kitchen => "kitchenpubsub",
        }
    }

    /// The topic of its orders, [`OrderPlaced`].
    pub const fn placed_topic(self) -> &'static str {
        match self {
            Station::Barista => "baristaorderplaced",
            Station::Kitchen => "kitchenorderplaced",
        }
    }

    /// The topic of orders that it cannot take.
    pub const fn placed_dead_letter_topic(self) -> &'static str {
        match self {
            Station::Barista => "baristaorderplaced-dead",
            Station::Kitchen => "kitchenorderplaced-dead",
        }
    }

    /// The topic of its reports, [`OrderUpdated`].
    pub const fn updated_topic(self) -> &'static str {
        match self {
            Station::Barista => "baristaorderupdated",
            Station::Kitchen => "kitchenorderupdated",
        }
    }

    /// The topic of its reports that the counter cannot take.
    pub const fn updated_dead_letter_topic(self) -> &'static str {
        match self {
            Station::Barista => "baristaorderupdated-dead",
            Station::Kitchen => "kitchenorderupdated-dead",
        }
    }

    /// Returns whether an item of this type is made here.
    pub const fn makes(self, item_type: u32) -> bool {
        match self {
            Station::Barista => item_type < FIRST_FOOD,
            Station::Kitchen => item_type >= FIRST_FOOD,
        }
    }

    /// The station's package: takes orders, makes them, reports.
    pub fn app(self) -> Router {
        let orders = Subscription::new(self.pubsub(), self.placed_topic(), move |event| {
            make(self, event)
        });
        Router::new().subscription(orders.dead_letter_topic(self.placed_dead_letter_topic()))
    }
}

/// Makes an order's items. A second delivery of the same order makes nothing, and reports again
/// what was made: the first report may never have been sent.
async fn make(station: Station, event: CloudEvent<OrderPlaced>) -> Result<Delivery, Error> {
    let OrderPlaced {
        order_id,
        item_lines,
    } = event.data;
    let foreign = item_lines
        .iter()
        .find(|line| !station.makes(line.item_type));
    if let Some(line) = foreign {
        eprintln!(
            "the {} does not make items of type {} (order {order_id})",
            station.name(),
            line.item_type
        );
        return Ok(Delivery::Drop);
    }
    let made = Made {
        ordered_at: event.time,
        item_lines: item_lines
            .into_iter()
            .map(|line| MadeLine {
                item_line_id: line.item_line_id,
                item_type: line.item_type,
            })
            .collect(),
    };
    let key = format!("{}-{}", station.name(), order_id.key());
    let item_lines = match dapr::state(STORE).create(&key, &made).await {
        Ok(()) => made.item_lines,
        Err(dapr::Error::EtagMismatch { .. }) => made_before(&key).await?,
        Err(error) => return Err(error.into()),
    };
    let report = OrderUpdated {
        order_id,
        item_lines,
    };
    let message = Message::json(&report).id(format!("{order_id}-{}-made", station.name()));
    dapr::pubsub(station.pubsub())
        .send(station.updated_topic(), message)
        .await?;
    Ok(Delivery::Success)
}

async fn made_before(key: &str) -> Result<Vec<MadeLine>, Error> {
    let made: Option<Made> = dapr::state(STORE).get(key).await?;
    let made = made.ok_or_else(|| Error::internal(format!("`{key}` was there and is gone")))?;
    Ok(made.item_lines)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wasmgate_sdk::testing;

    use super::*;

    const ORDER: &str = "0199d2a0-0000-7000-8000-000000000001";

    fn order(item_type: u32) -> Value {
        json!({"orderId": ORDER, "itemLines": [
            {"itemLineId": "line-1", "itemType": item_type, "itemStatus": 0},
        ]})
    }

    #[test]
    fn a_station_makes_its_items_keeps_them_and_reports() {
        for (station, item_type) in [(Station::Barista, 5), (Station::Kitchen, 6)] {
            let dapr = testing::dapr();
            dapr.publish(station.pubsub(), station.placed_topic(), order(item_type));
            let attempts = dapr.deliver(&station.app());
            assert!(attempts.iter().all(testing::Attempt::is_success));
            let kept = dapr
                .state(STORE, &format!("{}-order-{ORDER}", station.name()))
                .unwrap();
            assert_eq!(kept["itemLines"][0]["itemType"], item_type);
            let reports = dapr.published(station.pubsub(), station.updated_topic());
            assert_eq!(reports.len(), 1);
            assert_eq!(
                reports[0]["data"],
                json!({"orderId": ORDER,
                    "itemLines": [{"itemLineId": "line-1", "itemType": item_type}]})
            );
        }
    }

    #[test]
    fn an_order_that_comes_twice_is_made_once_and_reported_with_the_same_event_id() {
        let dapr = testing::dapr();
        let station = Station::Barista;
        dapr.publish(station.pubsub(), station.placed_topic(), order(5));
        dapr.deliver(&station.app());
        let made = dapr.state(STORE, &format!("{}-order-{ORDER}", station.name()));
        dapr.publish(station.pubsub(), station.placed_topic(), order(4));
        assert!(
            dapr.deliver(&station.app())
                .iter()
                .all(testing::Attempt::is_success)
        );
        assert_eq!(
            dapr.state(STORE, &format!("{}-order-{ORDER}", station.name())),
            made
        );
        let reports = dapr.published(station.pubsub(), station.updated_topic());
        assert_eq!(reports[0]["id"], reports[1]["id"]);
        assert_eq!(reports[0]["data"], reports[1]["data"]);
    }

    #[test]
    fn an_order_for_another_station_is_dead_lettered_and_leaves_nothing() {
        let dapr = testing::dapr();
        let station = Station::Kitchen;
        dapr.publish(station.pubsub(), station.placed_topic(), order(5));
        let attempts = dapr.deliver(&station.app());
        assert_eq!(attempts[0].delivery(), Delivery::Drop);
        assert_eq!(
            dapr.published(station.pubsub(), station.placed_dead_letter_topic())
                .len(),
            1
        );
        assert!(dapr.keys(STORE).is_empty());
        assert!(
            dapr.published(station.pubsub(), station.updated_topic())
                .is_empty()
        );
    }

    #[test]
    fn an_event_that_is_no_order_ends_in_the_dead_letter_topic() {
        let dapr = testing::dapr();
        let station = Station::Barista;
        let poison = [
            json!("latte"),
            json!({"orderId": "a||b", "itemLines": []}),
            json!({"orderId": ORDER, "itemLines": [{"itemLineId": 7}]}),
        ];
        let events = poison.len();
        for data in poison {
            dapr.publish(station.pubsub(), station.placed_topic(), data);
        }
        dapr.app("barista-api", station.app());
        dapr.deliver_all();
        let dead = dapr.published(station.pubsub(), station.placed_dead_letter_topic());
        assert_eq!(dead.len(), events);
        assert!(dapr.keys(STORE).is_empty());
    }

    #[test]
    fn a_report_that_cannot_be_published_fails_the_delivery() {
        let dapr = testing::dapr();
        let station = Station::Barista;
        dapr.publish(station.pubsub(), station.placed_topic(), order(0));
        dapr.intercept(|call| {
            let publish = call.path().starts_with("/v1.0/publish");
            publish.then_some(Err(wasmgate_sdk::client::Error::Timeout))
        });
        let attempts = dapr.deliver(&station.app());
        assert_eq!(attempts[0].delivery(), Delivery::Retry);
        dapr.intercept(|_| None);
        assert!(dapr.deliver(&station.app())[0].is_success());
        assert_eq!(
            dapr.published(station.pubsub(), station.updated_topic())
                .len(),
            1
        );
    }
}
