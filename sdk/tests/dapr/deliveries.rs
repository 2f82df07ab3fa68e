//! What Dapr brings: events, bindings, jobs, changes of configuration.

use std::{cell::RefCell, rc::Rc};

use serde::Deserialize;
use serde_json::{Value, json};
use wasmgate_sdk::{
    Error, Method, Request, Router,
    dapr::{
        Delivery,
        bindings::BindingEvent,
        configuration::ConfigurationUpdate,
        jobs::DueJob,
        pubsub::{Bytes, CloudEvent, Subscription},
    },
    testing::{self, Reply, call},
};

#[derive(Debug, Deserialize)]
struct Order {
    id: u64,
}

fn event(data: Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": "e1", "source": "shop", "type": "placed",
        "topic": "orders", "pubsubname": "pubsub", "traceparent": "00-1-2-01"});
    let members = event.as_object_mut().unwrap();
    members.extend(data.as_object().unwrap().clone());
    event
}

fn deliver(app: &Router, path: &str, event: &Value) -> Reply {
    call(app, Request::post(path).with_json(event))
}

#[test]
fn an_app_says_what_it_subscribes_to() {
    let none = Router::new().get("/", |_| "home");
    assert_eq!(call(&none, Request::get("/dapr/subscribe")).status(), 404);
    let orders = Subscription::new("pubsub", "orders", |_: CloudEvent<Order>| ())
        .rule("event.type == \"v2\"", |_: CloudEvent<Value>| ())
        .dead_letter_topic("dead")
        .metadata("rawPayload", "true");
    let other = Router::new().subscription(orders);
    let app = Router::new()
        .subscribe("pub sub", "a/b", |_: CloudEvent<Order>| ())
        .merge(other);
    let list: Value = call(&app, Request::get("/dapr/subscribe")).json();
    assert_eq!(
        list,
        json!([
            {"pubsubname": "pub sub", "topic": "a/b", "route": "/dapr/events/pub%20sub/a%2Fb"},
            {"pubsubname": "pubsub", "topic": "orders", "deadLetterTopic": "dead",
             "metadata": {"rawPayload": "true"},
             "routes": {"rules": [{"match": "event.type == \"v2\"",
                                   "path": "/dapr/rules/0/pubsub/orders"}],
                        "default": "/dapr/events/pubsub/orders"}},
        ])
    );
}

#[test]
fn an_event_reaches_its_handler_whether_its_path_comes_encoded_or_not() {
    let app = Router::new().subscribe("pub sub", "a/b", |event: CloudEvent<Order>| {
        assert_eq!(event.data.id, 7);
    });
    let event = event(json!({"data": {"id": 7}}));
    for path in ["/dapr/events/pub%20sub/a%2Fb", "/dapr/events/pub%20sub/a/b"] {
        let reply = deliver(&app, path, &event);
        assert_eq!(
            (reply.status().as_u16(), reply.text()),
            (200, r#"{"status":"SUCCESS"}"#),
            "{path}"
        );
    }
    for path in ["/dapr/events/pub%20sub/a", "/dapr/events/pub%20sub/a/b/c"] {
        assert_eq!(deliver(&app, path, &event).status(), 404, "{path}");
    }
}

#[test]
fn the_envelope_is_read_whole() {
    let seen = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&seen);
    let app = Router::new().subscribe("pubsub", "orders", move |event: CloudEvent<Order>| {
        *keep.borrow_mut() = Some(event);
    });
    let event = event(json!({"data": {"id": 7}, "subject": "s", "time": "t",
        "datacontenttype": "application/json", "tracestate": "ts"}));
    deliver(&app, "/dapr/events/pubsub/orders", &event);
    let seen = seen.take().unwrap();
    assert_eq!((seen.id.as_str(), seen.source.as_str()), ("e1", "shop"));
    assert_eq!(seen.event_type, "placed");
    assert_eq!(
        (seen.pubsub_name.as_str(), seen.topic.as_str()),
        ("pubsub", "orders")
    );
    assert_eq!(seen.trace_parent.as_deref(), Some("00-1-2-01"));
    assert_eq!(seen.trace_state.as_deref(), Some("ts"));
    assert_eq!(
        (seen.subject.as_deref(), seen.time.as_deref()),
        (Some("s"), Some("t"))
    );
}

#[test]
fn data_comes_as_json_text_or_bytes() {
    fn read<T: serde::de::DeserializeOwned>(data: Value) -> Option<T> {
        let event = event(data);
        let event = CloudEvent::<T>::from_json(event.to_string().as_bytes());
        event.ok().map(|event| event.data)
    }
    assert_eq!(read(json!({"data": "hi"})), Some("hi".to_owned()));
    assert_eq!(read(json!({})), Some(()));
    assert_eq!(
        read(json!({"data_base64": "AP8="})),
        Some(Bytes(vec![0, 255]))
    );
    // `[1]`: bytes for one who wants bytes, JSON for one who wants that.
    assert_eq!(
        read(json!({"data_base64": "WzFd"})),
        Some(Bytes(b"[1]".to_vec()))
    );
    assert_eq!(read(json!({"data_base64": "WzFd"})), Some(vec![1_u64]));
    assert_eq!(read(json!({"data_base64": "WzFd"})), Some("[1]".to_owned()));
    assert_eq!(read::<Bytes>(json!({"data_base64": "!"})), None);
    assert_eq!(read::<u64>(json!({"data": "seven"})), None);
}

#[test]
fn a_poison_event_is_refused_so_that_it_is_retried_and_then_dead() {
    let app = Router::new().subscribe("pubsub", "orders", |_: CloudEvent<Order>| ());
    let path = "/dapr/events/pubsub/orders";
    let wrong = deliver(&app, path, &event(json!({"data": {"id": "seven"}})));
    assert_eq!(wrong.status(), 422);
    assert!(wrong.text().contains("e1"), "{}", wrong.text());
    for body in ["", "not json", "[]", "{}", "{\"data\":{\"id\":7}}"] {
        let reply = call(&app, Request::post(path).with_body(body));
        assert_eq!(reply.status(), 422, "{body}");
    }
}

#[test]
fn the_handlers_verdict_is_what_dapr_is_told() {
    let app = Router::new().subscribe("pubsub", "orders", |event: CloudEvent<String>| async move {
        match event.data.as_str() {
            "retry" => Ok(Delivery::Retry),
            "drop" => Ok(Delivery::Drop),
            // An error may never look like a drop or a success.
            "not found" => Err(Error::not_found("gone")),
            "odd" => Err(Error::new(200, "odd")),
            "conflict" => Err(Error::conflict("later")),
            _ => Ok(Delivery::Success),
        }
    });
    for (data, status, word) in [
        ("fine", 200, "SUCCESS"),
        ("retry", 200, "RETRY"),
        ("drop", 200, "DROP"),
        ("not found", 500, ""),
        ("odd", 500, ""),
        ("conflict", 409, ""),
    ] {
        let event = event(json!({"data": data}));
        let reply = deliver(&app, "/dapr/events/pubsub/orders", &event);
        assert_eq!(reply.status(), status, "{data}");
        assert!(reply.text().contains(word), "{data}");
    }
}

#[test]
fn an_envelope_with_attributes_left_out_or_null_is_an_event_and_other_json_is_none() {
    let app = Router::new().subscribe("pubsub", "orders", |event: CloudEvent<Option<Order>>| {
        assert_eq!((event.id.as_str(), event.event_type.as_str()), ("", ""));
        assert_eq!(
            (event.subject, event.data.map(|order| order.id)),
            (None, None)
        );
    });
    let path = "/dapr/events/pubsub/orders";
    let bare = json!({"specversion": "1.0"});
    let null = json!({"specversion": "1.0", "id": null, "source": null, "type": null, "topic": null,
        "pubsubname": null, "subject": null, "time": null, "datacontenttype": null, "data": null});
    for event in [bare, null] {
        assert_eq!(deliver(&app, path, &event).status(), 200, "{event}");
    }
    for other in [
        json!({}),
        json!({"n": 1}),
        json!(null),
        json!({"specversion": null}),
    ] {
        assert_eq!(deliver(&app, path, &other).status(), 422, "{other}");
    }
}

#[test]
fn a_job_that_no_handler_takes_is_404_like_any_path() {
    let app = Router::new()
        .job("known", |_: DueJob<()>| ())
        .get("/", |_| "home");
    let due = |app: &Router, name: &str| call(app, Request::post(format!("/job/{name}"))).status();
    assert_eq!(due(&app, "known"), 200);
    // The gateway does not take that for the end of the job, and outside callers see no difference.
    assert_eq!(due(&app, "refund-order.7"), 404);
    assert_eq!(due(&Router::new(), "refund-order.7"), 404);
    assert_eq!(call(&app, Request::get("/job/known")).status(), 404);
}

#[test]
fn a_rule_takes_its_events_and_the_rest_go_to_the_default() {
    let dapr = testing::dapr();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = |name: &'static str| {
        let seen = Rc::clone(&seen);
        move |event: CloudEvent<u64>| seen.borrow_mut().push((name, event.data))
    };
    let subscription = Subscription::new("pubsub", "orders", note("default"))
        .rule("event.type == \"a\"", note("first"))
        .rule("event.type == 'b'", note("second"));
    let app = Router::new().subscription(subscription);
    let pubsub = wasmgate_sdk::dapr::pubsub("pubsub");
    for (number, kind) in ["b", "c", "a"].into_iter().enumerate() {
        let message = wasmgate_sdk::dapr::pubsub::Message::json(&number).event_type(kind);
        testing::block_on(pubsub.send("orders", message)).unwrap();
    }
    assert_eq!(dapr.deliver(&app).len(), 3);
    assert_eq!(
        *seen.borrow(),
        [("second", 0), ("default", 1), ("first", 2)]
    );
}

#[test]
fn an_event_that_fails_three_times_goes_to_the_dead_letter_topic() {
    let dapr = testing::dapr();
    let subscription = Subscription::new("pubsub", "orders", |_: CloudEvent<Order>| Delivery::Retry);
    dapr.app(
        "shop",
        Router::new().subscription(subscription.dead_letter_topic("dead")),
    );
    dapr.publish("pubsub", "orders", json!({"id": 7}));
    dapr.publish("pubsub", "orders", json!("poison"));
    let attempts = dapr.deliver_all();
    assert_eq!(attempts.len(), 6);
    assert!(attempts.iter().all(|attempt| !attempt.is_success()));
    let dead = dapr.published("pubsub", "dead");
    assert_eq!(dead.len(), 2);
    assert_eq!(dead[0]["data"]["id"], 7);
}

#[test]
fn a_job_reaches_the_first_handler_its_name_fits() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = |route: &'static str| {
        let seen = Rc::clone(&seen);
        move |job: DueJob<Option<u64>>| seen.borrow_mut().push((route, job.name, job.data))
    };
    let app = Router::new()
        .job("tick", note("exact"))
        .job("order-*", note("prefix"));
    let run = |path, body: &str| call(&app, Request::post(path).with_body(body)).status();
    assert_eq!(run("/job/tick", ""), 200);
    assert_eq!(run("/job/order-7", "7"), 200);
    let any = r#"{"@type":"type.googleapis.com/google.protobuf.Value","value":8}"#;
    assert_eq!(run("/job/order-8", any), 200);
    assert_eq!(run("/job/tick", "\"text\""), 422);
    assert_eq!(run("/job/ticks", ""), 404);
    let get = Request::get("/job/tick");
    assert_eq!(call(&app, get).status(), 404);
    assert_eq!(
        *seen.borrow(),
        [
            ("exact", "tick".to_owned(), None),
            ("prefix", "order-7".to_owned(), Some(7)),
            ("prefix", "order-8".to_owned(), Some(8)),
        ]
    );
}

#[test]
fn anything_but_an_event_is_answered_by_status() {
    let app = Router::new()
        .job("retry", |_: DueJob<()>| Delivery::Retry)
        .job("drop", |_: DueJob<()>| Delivery::Drop)
        .job("fail", |_: DueJob<()>| {
            Err::<(), _>(Error::not_found("gone"))
        });
    let run = |path| call(&app, Request::post(path)).status();
    assert_eq!(run("/job/retry"), 503);
    assert_eq!(run("/job/drop"), 200);
    assert_eq!(run("/job/fail"), 500);
}

#[test]
fn an_input_binding_is_asked_for_and_delivered() {
    let app = Router::new()
        .get("/nightly", |_| "a page")
        .binding("nightly", |event: BindingEvent| async move {
            let data: Vec<u64> = event.json()?;
            assert_eq!(
                (data, event.headers["x-m"].to_str().ok()),
                (vec![1], Some("v"))
            );
            Ok::<_, Error>(())
        });
    let asked = Request::with_method(Method::OPTIONS, "/nightly");
    assert_eq!(call(&app, asked).status(), 204);
    let brought = Request::post("/nightly")
        .with_header("x-m", "v")
        .with_body("[1]");
    assert_eq!(call(&app, brought).status(), 200);
    assert_eq!(call(&app, Request::post("/nightly")).status(), 422);
    assert_eq!(call(&app, Request::get("/nightly")).text(), "a page");
}

#[test]
fn a_change_of_configuration_reaches_its_store() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let keep = Rc::clone(&seen);
    let app = Router::new().configuration("configstore", move |update: ConfigurationUpdate| {
        let items = update.items.into_iter();
        keep.borrow_mut()
            .extend(items.map(|(key, item)| (key, item.value)));
    });
    let change = json!({"id": "1", "items": {"a": {"value": "2", "version": "9"}}});
    let path = "/configuration/configstore/a";
    assert_eq!(deliver(&app, path, &change).status(), 200);
    let other = deliver(&app, "/configuration/other/a", &change);
    assert_eq!(other.status(), 404);
    assert_eq!(*seen.borrow(), [("a".to_owned(), "2".to_owned())]);
}

#[test]
#[should_panic(expected = "where Dapr delivers")]
fn a_route_where_a_binding_is_delivered_is_a_mistake() {
    let app = Router::new()
        .post("/nightly", |_| "taken")
        .binding("nightly", |_: BindingEvent| ());
    call(&app, Request::get("/"));
}
