//! The other calls: publish, invoke, bindings, secrets, configuration, locks, jobs.

use std::{rc::Rc, time::Duration};

use serde_json::json;
use wasmgate_sdk::{
    Method, Request, Response, Router,
    dapr::{self, lock::Unlock, pubsub::Message},
    testing::{self, block_on},
};

use crate::record;

#[test]
fn a_message_goes_with_its_content_type_and_its_metadata() {
    let (seen, _outbound) = record(|| Response::new(204));
    let pubsub = dapr::pubsub("pub sub");
    block_on(async {
        pubsub.publish("orders", &json!({"id": 7})).await.unwrap();
        let text = Message::text("hi").id("e1").ttl(Duration::from_secs(5));
        pubsub.send("a/b", text).await.unwrap();
        let bytes = Message::bytes([0, 255]).raw_payload();
        pubsub.send("orders", bytes).await.unwrap();
    });
    let seen = seen.borrow();
    let kinds = seen.iter().map(|call| call.headers.get("content-type"));
    assert_eq!(
        kinds.flatten().collect::<Vec<_>>(),
        ["application/json", "text/plain", "application/octet-stream"]
    );
    assert_eq!(seen[0].line, "POST /v1.0/publish/pub%20sub/orders");
    assert_eq!(
        seen[1].line,
        "POST /v1.0/publish/pub%20sub/a/b?metadata.cloudevent.id=e1&metadata.ttlInSeconds=5"
    );
    assert_eq!(seen[0].json(), json!({"id": 7}));
    assert_eq!(seen[2].body, [0, 255]);
}

#[test]
fn a_bulk_carries_every_kind_of_message() {
    let (seen, _outbound) = record(|| Response::new(204));
    let messages = [
        Message::json(&json!({"id": 7})).event_type("placed"),
        Message::text("hi"),
        Message::bytes([0, 255]),
    ];
    block_on(dapr::pubsub("pubsub").send_all("orders", messages)).unwrap();
    block_on(dapr::pubsub("pubsub").send_all("orders", [])).unwrap();
    let seen = seen.borrow();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "POST /v1.0/publish/bulk/pubsub/orders");
    assert_eq!(
        seen[0].json(),
        json!([
            {"entryId": "0", "event": {"id": 7}, "contentType": "application/json",
             "metadata": {"cloudevent.type": "placed"}},
            {"entryId": "1", "event": "hi", "contentType": "text/plain"},
            {"entryId": "2", "event": "AP8=", "contentType": "application/octet-stream"},
        ])
    );
}

#[test]
fn another_app_gets_verb_path_query_headers_and_body() {
    let dapr = testing::dapr();
    let echo = |mut request: Request| async move {
        let said = request.text().await?;
        let asked = format!(
            "{} {}?{} {} {said}",
            request.method(),
            request.path(),
            request.query_string(),
            request.header("x-a").unwrap_or_default()
        );
        Ok::<_, wasmgate_sdk::Error>(Response::text(asked).with_status(418))
    };
    dapr.app("echo", Router::new().any("/{*rest}", echo));
    let call = dapr::invoke("echo")
        .request(Method::PATCH, "/a%20b/c?d=e")
        .header("x-a", "1")
        .stream(|mut body| async move {
            body.write("in ").await?;
            Ok(body.write("pieces").await?)
        });
    let answer = block_on(call.send()).unwrap();
    assert_eq!(answer.status(), 418);
    let text = block_on(answer.text()).unwrap();
    assert_eq!(text, "PATCH /a%20b/c?d=e 1 in pieces");
}

#[test]
fn a_failed_invocation_tells_the_app_from_dapr() {
    let dapr = testing::dapr();
    dapr.app(
        "api",
        Router::new().get("/ok", |_| Response::json(&json!([1]))),
    );
    let fetch = |app: &'static str, path: &'static str| block_on(dapr::invoke(app).get(path).fetch::<Vec<u64>>());
    assert_eq!(fetch("api", "ok").unwrap(), [1]);
    let missing = fetch("api", "/missing");
    assert!(
        matches!(missing, Err(dapr::Error::App { status: 404, .. })),
        "{missing:?}"
    );
    let nobody = fetch("nobody", "/ok");
    assert!(
        matches!(nobody, Err(dapr::Error::Unavailable { .. })),
        "{nobody:?}"
    );
}

#[test]
fn an_output_binding_gets_operation_data_and_metadata() {
    let dapr = testing::dapr();
    dapr.binding("files", |operation, body| {
        let file = body["metadata"]["fileName"].as_str()?;
        Some(format!("{operation} {file}: {}", body["data"]))
    });
    let files = dapr::binding("files");
    let operation = files
        .operation("create")
        .data("text")
        .metadata("fileName", "a");
    let answer = block_on(operation.send()).unwrap();
    assert_eq!(answer.text().unwrap(), "create a: \"text\"");
    let empty = block_on(files.operation("list").send()).unwrap();
    assert!(empty.bytes.is_empty());
    let unknown = block_on(dapr::binding("x").operation("get").send()).unwrap_err();
    assert!(matches!(unknown, dapr::Error::NotFound { .. }), "{unknown}");
}

#[test]
fn secrets_are_read_one_by_one_or_all() {
    let dapr = testing::dapr();
    dapr.set_secret("secretstore", "key", "hush");
    let store = dapr::secrets("secretstore");
    block_on(async {
        assert_eq!(store.get("key").await.unwrap(), "hush");
        assert_eq!(store.all().await.unwrap()["key"]["key"], "hush");
        let absent = store.get("absent").await;
        assert!(
            matches!(absent, Err(dapr::Error::NotFound { .. })),
            "{absent:?}"
        );
        let unknown = dapr::secrets("x").get("key").await;
        assert!(
            matches!(unknown, Err(dapr::Error::NotFound { .. })),
            "{unknown:?}"
        );
    });
}

#[test]
fn a_secret_of_several_values_is_read_by_their_names() {
    let (_, _outbound) = record(|| Response::json(&json!({"user": "ada", "password": "hush"})));
    let store = dapr::secrets("secretstore");
    assert!(block_on(store.get("login")).is_err());
    assert_eq!(block_on(store.get("user")).unwrap(), "ada");
    assert_eq!(block_on(store.values("login")).unwrap()["password"], "hush");
}

#[test]
fn configuration_is_read_by_key_or_whole_and_watched() {
    let dapr = testing::dapr();
    dapr.set_configuration("configstore", "a", "1");
    dapr.set_configuration("configstore", "b", "2");
    let store = dapr::configuration("configstore");
    block_on(async {
        let one = store.get(&["a", "x"]).await.unwrap();
        assert_eq!((one.len(), one["a"].value.as_str()), (1, "1"));
        assert_eq!(store.get(&[""; 0]).await.unwrap().len(), 2);
        let id = store.subscribe(&["a"]).await.unwrap();
        store.unsubscribe(&id).await.unwrap();
    });
}

#[test]
fn a_lock_is_held_by_one_owner_until_that_one_unlocks_it() {
    let _dapr = testing::dapr();
    let store = dapr::lock("lockstore");
    let minute = Duration::from_secs(60);
    block_on(async {
        let lock = store.try_lock("door", minute).await.unwrap().unwrap();
        assert!(store.try_lock("door", minute).await.unwrap().is_none());
        let other = store.unlock("door", "thief").await.unwrap();
        assert_eq!(other, Unlock::HeldByAnother);
        assert_eq!(lock.unlock().await.unwrap(), Unlock::Done);
        assert_eq!(
            store.unlock("door", "thief").await.unwrap(),
            Unlock::NotHeld
        );
        let named = store.try_lock_as("door", "me", minute).await.unwrap();
        assert_eq!(named.unwrap().owner(), "me");
    });
}

#[test]
fn configuration_that_is_not_there_is_none_and_no_error() {
    let dapr = testing::dapr();
    let store = dapr::configuration("configstore");
    block_on(async {
        assert_eq!(store.item("a").await.unwrap(), None);
        assert!(store.get(&["a", "b"]).await.unwrap().is_empty());
        assert!(store.get(&[""; 0]).await.unwrap().is_empty());
        dapr.set_configuration("configstore", "a", "1");
        let item = store.item("a").await.unwrap().unwrap();
        assert_eq!((item.value.as_str(), item.metadata.len()), ("1", 0));
        assert_eq!(store.get(&["a", "b"]).await.unwrap().len(), 1);
    });
    // In words of Dapr's own: no content.
    let (_, _outbound) = record(|| Response::new(204));
    assert_eq!(block_on(store.item("a")).unwrap(), None);
}

#[test]
fn a_job_that_is_not_there_is_told_and_deleting_it_is_done() {
    let missing = || {
        let message = "failed to delete job due to: rpc error: code = NotFound desc = job not found: j";
        let error = json!({"errorCode": "DAPR_SCHEDULER_DELETE_JOB", "message": message});
        Response::json(&error).with_status(500)
    };
    let (_, _outbound) = record(missing);
    block_on(dapr::job("j").delete()).unwrap();
    let got = block_on(dapr::job("j").get());
    assert!(matches!(got, Err(dapr::Error::NotFound { .. })), "{got:?}");
}

#[test]
fn a_job_says_when_how_often_and_what_to_do_when_it_fails() {
    let (seen, _outbound) = record(|| Response::new(204));
    let second = Duration::from_secs(1);
    block_on(async {
        let job = dapr::job("a b").due_in(second * 30).data(&json!({"id": 7}));
        job.schedule().await.unwrap();
        let job = dapr::job("often")
            .every(second / 2)
            .repeats(5)
            .ttl(second * 3600)
            .retries(2, second)
            .overwrite();
        job.schedule().await.unwrap();
        let job = dapr::job("once")
            .due_at("2030-01-01T00:00:00Z")
            .retries(0, second);
        job.schedule().await.unwrap();
        dapr::job("once").delete().await.unwrap();
    });
    let seen = seen.borrow();
    assert_eq!(seen[0].line, "POST /v1.0/jobs/a%20b");
    assert_eq!(seen[0].json(), json!({"dueTime": "30s", "data": {"id": 7}}));
    assert_eq!(
        seen[1].json(),
        json!({"schedule": "@every 500ms", "repeats": 5, "ttl": "3600s", "data": null, "overwrite": true,
               "failurePolicy": {"constant": {"interval": "1s", "maxRetries": 2}}})
    );
    assert_eq!(
        seen[2].json(),
        json!({"dueTime": "2030-01-01T00:00:00Z", "data": null, "failurePolicy": {"drop": {}}})
    );
    assert_eq!(seen[3].line, "DELETE /v1.0/jobs/once");
}

#[test]
fn a_job_is_scheduled_once_unless_it_may_be_overwritten() {
    let dapr = testing::dapr();
    block_on(async {
        let job = || dapr::job("tick").every(Duration::from_secs(5));
        job().schedule().await.unwrap();
        let again = job().schedule().await;
        assert!(
            matches!(again, Err(dapr::Error::AlreadyExists { .. })),
            "{again:?}"
        );
        job().repeats(2).overwrite().schedule().await.unwrap();
        assert_eq!(job().get().await.unwrap().repeats, Some(2));
        job().delete().await.unwrap();
        job().delete().await.unwrap();
        let gone = job().get().await;
        assert!(
            matches!(gone, Err(dapr::Error::NotFound { .. })),
            "{gone:?}"
        );
    });
    assert_eq!(dapr.jobs(), [""; 0]);
}

#[test]
fn the_stand_in_lets_other_calls_through_and_stops_when_dropped() {
    let _outside = testing::outbound(|_| Ok(Response::text("outside")));
    let dapr = Rc::new(testing::dapr());
    let outside = || {
        block_on(async {
            let answer = wasmgate_sdk::client::get("http://a").send().await?;
            answer.text().await
        })
    };
    assert_eq!(outside().unwrap(), "outside");
    drop(dapr);
    assert_eq!(outside().unwrap(), "outside");
    assert!(block_on(dapr::state("s").get::<u64>("k")).is_err());
}
