//! An order comes to one end, whatever comes twice, too late or not at all.

use super::*;

#[test]
fn mixed_drinks_only_and_food_only_orders_are_fulfilled() {
    for (drinks, food) in [(&[5, 0][..], &[8][..]), (&[5], &[]), (&[], &[8, 8])] {
        let dapr = shop();
        let id = place(&dapr, &order(drinks, food));
        assert_eq!(status(&dapr, &id), 0);
        assert!(dapr.deliver_all().iter().all(Attempt::is_success));
        assert_eq!(status(&dapr, &id), 2, "{drinks:?} {food:?}");
        assert!(dapr.jobs().is_empty(), "nobody has to look at it again");
        assert_eq!(dapr.state(STORE, &format!("outbox-{id}")), None);
    }
}

#[test]
fn only_the_stations_with_something_to_make_are_told() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[]));
    let told = dapr.published("baristapubsub", "baristaorderplaced");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["orderId"], id.as_str());
    assert_eq!(
        told[0]["data"]["itemLines"],
        json!([{"itemLineId": "line-1", "itemType": 5, "itemStatus": 0}])
    );
    assert!(
        dapr.published("kitchenpubsub", "kitchenorderplaced")
            .is_empty()
    );
}

#[test]
fn events_that_come_twice_change_nothing() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[8]));
    dapr.deliver_all();
    let fulfilled = dapr.state(STORE, &format!("order-{id}"));
    for station in STATIONS {
        for topic in [station.placed_topic(), station.updated_topic()] {
            let events = dapr.published(station.pubsub(), topic);
            dapr.publish(station.pubsub(), topic, events[0]["data"].clone());
        }
    }
    assert!(dapr.deliver_all().iter().all(Attempt::is_success));
    assert_eq!(dapr.state(STORE, &format!("order-{id}")), fulfilled);
    assert_eq!(order_list(&dapr).len(), 1);
}

#[test]
fn an_order_is_in_progress_while_one_station_has_reported() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[8]));
    dapr.deliver(&Station::Barista.app());
    dapr.deliver(&app());
    assert_eq!(status(&dapr, &id), 1);
    assert_eq!(dapr.jobs(), [format!("order-{id}")]);
}

#[test]
fn a_report_for_an_order_that_was_never_placed_is_dead_lettered() {
    let dapr = shop();
    let forged = json!({"orderId": "0199d2a0-0000-7000-8000-000000000001", "itemLines": []});
    dapr.publish("kitchenpubsub", "kitchenorderupdated", forged);
    dapr.deliver_all();
    assert_eq!(
        dapr.published("kitchenpubsub", "kitchenorderupdated-dead")
            .len(),
        1
    );
    assert!(dapr.keys(STORE).is_empty());
}

#[test]
fn an_order_that_is_not_made_in_time_is_refunded_once_and_stays_so() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[8]));
    dapr.deliver(&Station::Barista.app());
    dapr.deliver(&app());
    let job = format!("order-{id}");
    assert_eq!(dapr.run_job(&app(), &job).status(), 200);
    assert_eq!(status(&dapr, &id), 1, "it is not time yet");
    age(&dapr, &id);
    assert_eq!(dapr.run_job(&app(), &job).status(), 200);
    assert_eq!(status(&dapr, &id), 3);
    assert!(dapr.jobs().is_empty());
    let refunded = dapr.state(STORE, &job).unwrap();
    let lines = refunded["itemLines"].as_array().unwrap().iter();
    let lines: Vec<_> = lines
        .map(|line| line["itemStatus"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [2, 3], "the drink was made, the food is paid back");
    // The kitchen comes too late.
    assert!(dapr.deliver_all().iter().all(Attempt::is_success));
    assert_eq!(dapr.state(STORE, &job), Some(refunded));
}

#[test]
fn an_order_is_refunded_even_while_nothing_can_be_published() {
    let dapr = shop();
    fail_from(&dapr, "/v1.0/publish", 1);
    let id = place(&dapr, &order(&[5], &[]));
    age(&dapr, &id);
    assert_eq!(dapr.run_job(&app(), &format!("order-{id}")).status(), 200);
    assert_eq!(status(&dapr, &id), 3);
    assert_eq!(dapr.state(STORE, &format!("outbox-{id}")), None);
    assert!(dapr.jobs().is_empty());
}

#[test]
fn an_outbox_that_was_not_emptied_goes_with_the_end_of_its_order() {
    let dapr = shop();
    fail_from(&dapr, "/v1.0/state/statestore/outbox", 1);
    let id = place(&dapr, &order(&[5], &[]));
    dapr.intercept(|_| None);
    assert!(dapr.state(STORE, &format!("outbox-{id}")).is_some());
    assert!(dapr.deliver_all().iter().all(Attempt::is_success));
    assert_eq!(status(&dapr, &id), 2);
    assert_eq!(dapr.state(STORE, &format!("outbox-{id}")), None);
}

#[test]
fn nothing_is_saved_when_the_job_cannot_be_scheduled() {
    let dapr = shop();
    fail_from(&dapr, "/v1.0/jobs", 1);
    assert_eq!(
        dapr.call("counter-api", post(&order(&[5], &[]))).status(),
        504
    );
    assert!(dapr.keys(STORE).is_empty());
}

#[test]
fn nothing_is_published_when_the_order_cannot_be_saved_and_its_job_gives_up() {
    let dapr = shop();
    fail_from(&dapr, "/v1.0/state/statestore/transaction", 1);
    assert_eq!(
        dapr.call("counter-api", post(&order(&[5], &[]))).status(),
        504
    );
    assert!(
        dapr.published("baristapubsub", "baristaorderplaced")
            .is_empty()
    );
    dapr.intercept(|_| None);
    let [job] = dapr.jobs().try_into().unwrap();
    dapr.run_job(&app(), &job);
    assert_eq!(dapr.jobs().len(), 1, "the order may still be saved");
    let id = job.strip_prefix("order-").unwrap();
    let long_ago = json!({"orderId": id, "scheduledMs": 0});
    let request = Request::post(format!("/job/{job}")).with_json(&long_ago);
    assert_eq!(testing::call(&app(), request).status(), 200);
    assert!(dapr.jobs().is_empty() && dapr.keys(STORE).is_empty());
}

#[test]
fn an_order_whose_events_were_not_all_published_is_told_to_the_stations_by_its_job() {
    // It ends before the first event, between the two, and before the outbox is emptied.
    for (path, nth) in [
        ("/v1.0/publish", 1),
        ("/v1.0/publish", 2),
        ("/v1.0/state/statestore/outbox", 1),
    ] {
        let dapr = shop();
        fail_from(&dapr, path, nth);
        let id = place(&dapr, &order(&[5], &[8]));
        dapr.intercept(|_| None);
        dapr.run_job(&app(), &format!("order-{id}"));
        assert!(dapr.deliver_all().iter().all(Attempt::is_success));
        assert_eq!(status(&dapr, &id), 2, "{path} {nth}");
        assert!(dapr.jobs().is_empty());
        assert_eq!(dapr.state(STORE, &format!("outbox-{id}")), None);
    }
}

#[test]
fn an_order_that_ended_before_its_job_was_deleted_loses_it_at_its_next_run() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[]));
    dapr.intercept(|call| {
        let delete = call.method().as_str() == "DELETE" && call.path().starts_with("/v1.0/jobs");
        delete.then_some(Err(client::Error::Timeout))
    });
    dapr.deliver(&Station::Barista.app());
    assert!(!dapr.deliver(&app())[0].is_success());
    dapr.intercept(|_| None);
    assert_eq!(status(&dapr, &id), 2);
    dapr.run_job(&app(), &format!("order-{id}"));
    assert!(dapr.jobs().is_empty());
    assert_eq!(status(&dapr, &id), 2);
}
