//! Calls of clients about one order: to place it, look at it, follow it.

use std::time::{Duration, SystemTime};

use coffeeshop_common::{OrderId, STORE};
use serde_json::json;
use wasmgate_sdk::{Error, Event, EventWriter, Request, Response, dapr, time};

use crate::{catalogue::Catalogue, claim::IdempotencyKey, order::Order, placing::PlaceOrder, saga};

/// The longest order, in bytes: ten times what 50 items need.
const ORDER_BYTES_MAX: usize = 64 << 10;

/// The interval at which a followed order is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Looks without news before a comment keeps the connection open: five seconds.
const LOOKS_TO_KEEP_ALIVE: u32 = 50;

/// `POST /v1/api/orders`: 202, as the order is made while the client goes on.
pub(crate) async fn place(mut request: Request) -> Result<Response, Error> {
    let key = IdempotencyKey::from_request(&request)?;
    request.limit_body(ORDER_BYTES_MAX);
    let placing: PlaceOrder = request.json().await?;
    let id = match find_placed(key.as_ref(), &placing).await? {
        Some(id) => id,
        None => {
            let lines = placing.lines(&Catalogue::fetch().await?)?;
            let order = Order::new(OrderId::fresh(), &placing, lines, SystemTime::now());
            saga::place(&order, &placing, key.as_ref()).await?
        }
    };
    let location = public(&request, &format!("/v1/api/orders/{id}"));
    Ok(Response::json(&json!({"id": id, "location": location}))
        .with_status(202)
        .with_header("location", location))
}

async fn find_placed(key: Option<&IdempotencyKey>, placing: &PlaceOrder) -> Result<Option<OrderId>, Error> {
    match key {
        Some(key) => key.find_claimed(placing).await,
        None => Ok(None),
    }
}

/// `GET /v1/api/orders/{id}`.
pub(crate) async fn show(request: Request) -> Result<Response, Error> {
    let order = load(id(&request)?).await?;
    Ok(Response::json(&order).with_header("cache-control", "no-store"))
}

/// `GET /v1/api/orders/{id}/events`: the order as a server-sent event `order`, now and whenever it
/// changes, until it has ended.
pub(crate) async fn follow(request: Request) -> Result<Response, Error> {
    let id = id(&request)?;
    let order = load(id).await?;
    Ok(Response::events(move |events| {
        send_changes(id, order, events)
    }))
}

async fn send_changes(id: OrderId, mut order: Order, mut events: EventWriter) -> Result<(), Error> {
    let mut sent = String::new();
    let mut looks = 0;
    loop {
        let text = serde_json::to_string(&order)?;
        if text != sent {
            events.send(Event::data(text.clone()).name("order")).await?;
            (sent, looks) = (text, 0);
        }
        if order.order_status.is_final() {
            return Ok(());
        }
        looks += 1;
        if looks % LOOKS_TO_KEEP_ALIVE == 0 {
            events.keep_alive().await?;
        }
        time::sleep(LOOK).await;
        order = load(id).await?;
    }
}

/// A path of this package as clients write it: below the prefix that the gateway took off.
pub(crate) fn public(request: &Request, path: &str) -> String {
    let prefix = request.header("x-forwarded-prefix").unwrap_or_default();
    format!("{}{path}", prefix.trim_end_matches('/'))
}

async fn load(id: OrderId) -> Result<Order, Error> {
    let order = dapr::state(STORE).get(&id.key()).await?;
    order.ok_or_else(|| Error::not_found(format!("there is no order {id}")))
}

fn id(request: &Request) -> Result<OrderId, Error> {
    let text = request.param("id").unwrap_or_default();
    let id = text.parse();
    id.map_err(|_| Error::not_found(format!("there is no order {text}: an order's id is a UUID")))
}
