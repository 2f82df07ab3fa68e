//! Orders of the coffee shop: the time to 202 and, followed, to FULFILLED.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cli::RunArgs,
    client::{self, Followed, Look, Watch},
    plan::{Pace, Plan, Protocol},
    progress::Progress,
    report::table,
    stats::Summary,
    target::Target,
    workload::{Exchange, Workload},
};

/// The address that `make run` serves.
const DEFAULT_URL: &str = "http://127.0.0.1:3000";
const PATH: &str = "/c/v1/api/orders";
/// The rate of followed orders unless one is given: below what a laptop's
/// disk acknowledges, so that what is seen is an order and not a queue.
const DEFAULT_RATE: f64 = 20.0;
/// An order is made or refunded after 30 s; what takes longer is stuck.
const FOLLOW_LIMIT: Duration = Duration::from_secs(45);

/// An order's `orderStatus` once everything is made.
const FULFILLED: u64 = 2;
/// An order's `orderStatus` once it is paid back.
const REFUNDED: u64 = 3;

/// Places orders at a running coffee shop: mixed, drinks only, food only, in turn.
pub(super) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    let target = Target::parse(arguments.url.as_deref().unwrap_or(DEFAULT_URL))?;
    let path = target.path_or(PATH);
    let expected = arguments.expect_status.unwrap_or(202);
    let orders = orders().map(|order| {
        let mut exchange = Exchange::json(Method::POST, &path, &order);
        exchange.expected.status = expected;
        exchange
    });
    ask_once(&target, &orders, arguments)?;
    let workload = Arc::new(Workload::each_in_turn(orders.into()).context("no order")?);
    let mut plan = arguments.load.plan();
    if !arguments.follow {
        let seen = client::drive(&target, &workload, &plan, Progress::on_terminal())?;
        return print(arguments, &plan, &seen.summary(), None);
    }

    anyhow::ensure!(
        plan.protocol == Protocol::Http1,
        "--follow speaks HTTP/1.1 only; leave out --http2"
    );
    if plan.pace == Pace::Closed {
        plan.pace = Pace::Open {
            requests_per_second: DEFAULT_RATE,
        };
    }
    let watch = Watch {
        path: order_path,
        judge,
        limit: FOLLOW_LIMIT,
    };
    let Followed { accepted, done } = client::follow(&target, &workload, &plan, watch)?;
    print(arguments, &plan, &accepted.summary(), Some(&done.summary()))
}

/// Asks once, so that what is wrong with the address shows before a load of errors does.
fn ask_once(target: &Target, orders: &[Exchange], arguments: &RunArgs) -> anyhow::Result<()> {
    let plan = arguments.load.plan();
    let first = orders.first().context("no order")?;
    let answer =
        client::probe(target, first, plan.protocol, plan.timeout).context("`make run` starts the coffee shop")?;
    anyhow::ensure!(
        answer.status == first.expected.status,
        "POST {} answered {}, not {}; is it the coffee shop that runs there (`make run`)?",
        first.path,
        answer.status,
        first.expected.status
    );
    Ok(())
}

fn print(arguments: &RunArgs, plan: &Plan, accepted: &Summary, done: Option<&Summary>) -> anyhow::Result<()> {
    if arguments.json {
        let whole = json!({"plan": plan, "accepted": accepted, "fulfilled": done});
        println!("{}", serde_json::to_string_pretty(&whole)?);
        return Ok(());
    }
    println!("orders, to the answer:");
    print!("{}", table::summary(accepted, plan));
    if let Some(done) = done {
        println!(
            "orders, to FULFILLED: {}\n{}{}",
            done.answered,
            table::latencies(done),
            table::errors(done)
        );
    }
    Ok(())
}

/// Item types 0 to 5 are drinks, 6 to 9 food.
fn orders() -> [Value; 3] {
    let items = |types: &[u32]| -> Vec<Value> {
        let item = |of: &u32| json!({ "itemType": of });
        types.iter().map(item).collect()
    };
    [
        (&[5, 3][..], &[8][..]),
        (&[0][..], &[][..]),
        (&[][..], &[7, 6][..]),
    ]
    .map(|(drinks, food)| {
        json!({
            "commandType": 0,
            "orderSource": 0,
            "location": 0,
            "loyaltyMemberId": "b8b05ae1-9d1b-4e2b-8b6a-0d1b6cf8f9a1",
            "baristaItems": items(drinks),
            "kitchenItems": items(food),
            "timestamp": "2026-01-01T00:00:00Z",
        })
    })
}

fn order_path(request: &Exchange, answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Accepted {
        id: String,
    }
    let Accepted { id } = serde_json::from_slice(answer).ok()?;
    Some(format!("{}/{id}", request.path))
}

fn judge(answer: &[u8]) -> Look {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Order {
        order_status: u64,
    }
    match serde_json::from_slice(answer) {
        Ok(Order { order_status }) => match order_status {
            FULFILLED => Look::Done,
            REFUNDED => Look::Wrong,
            _ => Look::Unfinished,
        },
        Err(_) => Look::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_order_is_looked_at_below_where_it_was_placed() {
        let placed = Exchange::get("/c/v1/api/orders");
        let path = order_path(&placed, br#"{"id":"7-a","location":"/x"}"#);
        assert_eq!(path.as_deref(), Some("/c/v1/api/orders/7-a"));
        assert_eq!(order_path(&placed, b""), None);
    }

    #[test]
    fn only_a_fulfilled_order_is_done() {
        let look = |status: u64| judge(format!(r#"{{"orderStatus":{status}}}"#).as_bytes());
        assert_eq!(
            [look(0), look(1), look(2), look(3)],
            [Look::Unfinished, Look::Unfinished, Look::Done, Look::Wrong]
        );
        assert_eq!(judge(b"<html>"), Look::Wrong);
    }

    #[test]
    fn the_orders_are_mixed_drinks_only_and_food_only() {
        let count = |order: &Value, key: &str| order[key].as_array().map_or(0, Vec::len);
        let counts = orders().map(|order| (count(&order, "baristaItems"), count(&order, "kitchenItems")));
        assert_eq!(counts, [(2, 1), (1, 0), (0, 2)]);
    }
}
