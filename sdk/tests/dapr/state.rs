//! State: versions, transactions, updates.

use std::{cell::Cell, rc::Rc, time::Duration};

use serde_json::json;
use wasmgate_sdk::{
    Error, Request, Response, Router,
    dapr::{
        self,
        state::{Concurrency, Consistency, Etag, MISMATCHES_MAX, Save, Store, retry_mismatches},
    },
    testing::{self, block_on},
};

use crate::record;

fn store() -> Store {
    dapr::state("statestore")
}

#[test]
fn values_come_back_typed_and_raw_and_missing_ones_are_none() {
    let _dapr = testing::dapr();
    block_on(async {
        assert_eq!(store().get::<u64>("n").await.unwrap(), None);
        assert!(store().bytes("n").await.unwrap().is_none());
        store().save("n", &7).await.unwrap();
        assert_eq!(store().get::<u64>("n").await.unwrap(), Some(7));
        let raw = Save::raw("page", "{ \"as\" : \"it stands\" }");
        store().save_all([raw]).await.unwrap();
        let page = store().bytes("page").await.unwrap().unwrap();
        assert_eq!(page.value, b"{ \"as\" : \"it stands\" }");
        let wrong = store().get::<u64>("page").await;
        assert!(matches!(wrong, Err(dapr::Error::Json(_))), "{wrong:?}");
        store().delete("n").await.unwrap();
        store().delete("n").await.unwrap();
        assert_eq!(store().get::<u64>("n").await.unwrap(), None);
    });
}

#[test]
fn the_first_writer_wins_when_etags_are_used() {
    let dapr = testing::dapr();
    let mismatch = |result| matches!(result, Err(dapr::Error::EtagMismatch { .. }));
    block_on(async {
        store().create("k", &1).await.unwrap();
        assert!(mismatch(store().create("k", &2).await));
        let old = store().entry::<u64>("k").await.unwrap().unwrap();
        store().replace("k", &3, &old.etag).await.unwrap();
        assert!(mismatch(store().replace("k", &4, &old.etag).await));
        assert!(mismatch(store().delete_if("k", &old.etag).await));
        assert_eq!(dapr.state("statestore", "k").unwrap(), 3);
        let new = store().entry::<u64>("k").await.unwrap().unwrap();
        store().delete_if("k", &new.etag).await.unwrap();
        assert!(mismatch(store().replace("k", &5, &new.etag).await));
    });
    assert_eq!(dapr.keys("statestore"), [""; 0]);
}

/// What a client may put into `if-match`, or into a field of its JSON.
#[test]
fn an_etag_of_any_form_is_a_mismatch_and_never_an_internal_error() {
    let dapr = testing::dapr();
    dapr.set_state("statestore", "k", json!(1));
    let long = "7".repeat(100_000);
    let forms = [
        "\"wrong\"",
        "wrong",
        "",
        " ",
        "*",
        "W/\"1\"",
        "\"1\", \"2\"",
        "-1",
        "1.5",
        "18446744073709551616",
        "0x1",
        "ü",
        "a b",
        long.as_str(),
    ];
    let app = Router::new()
        .put("/k", |request: Request| async move {
            let etag = Etag::from_request(&request).ok_or_else(|| Error::new(428, "if-match"))?;
            Ok::<_, Error>(store().replace("k", &2, &etag).await?)
        })
        .delete("/k", |request: Request| async move {
            let etag = Etag::from(request.header("if-match").unwrap_or_default());
            Ok::<_, Error>(store().delete_if("k", &etag).await?)
        })
        .post("/k", |request: Request| async move {
            let etag = Etag::from(request.header("if-match").unwrap_or_default());
            let save = Save::new("k", &2).if_match(&etag);
            Ok::<_, Error>(
                store()
                    .transaction()
                    .save(save)
                    .delete_if("k", &etag)
                    .commit()
                    .await?,
            )
        });
    for form in forms {
        for request in [
            Request::put("/k"),
            Request::delete("/k"),
            Request::post("/k"),
        ] {
            let reply = testing::call(&app, request.with_header("if-match", form));
            assert_eq!(reply.status(), 409, "{:.40?}", form);
        }
    }
    let two = Request::put("/k")
        .with_header("if-match", "1")
        .with_header("if-match", "1");
    assert_eq!(testing::call(&app, two).status(), 409);
    assert_eq!(testing::call(&app, Request::put("/k")).status(), 428);
    assert_eq!(dapr.state("statestore", "k").unwrap(), 1);
}

#[test]
fn an_etag_that_nothing_can_have_is_not_sent() {
    let (seen, _outbound) = record(|| Response::new(204));
    for none in [
        "",
        " 7",
        "7\r\nx-other: 1",
        "7\0",
        "\t7",
        "\u{1b}[0m",
        "\u{7f}",
    ] {
        let none = Etag::from(none);
        let is_mismatch = |failed| matches!(failed, Err(dapr::Error::EtagMismatch { .. }));
        block_on(async {
            assert!(
                is_mismatch(store().replace("k", &1, &none).await),
                "{none:?}"
            );
            assert!(is_mismatch(store().delete_if("k", &none).await), "{none:?}");
            let transaction = store().transaction().upsert("a", &1).delete_if("k", &none);
            assert!(is_mismatch(transaction.commit().await), "{none:?}");
        });
    }
    assert!(seen.borrow().is_empty());
}

#[test]
fn clients_get_and_send_etags_in_quotes() {
    let etag = Etag::from("b1f0");
    assert_eq!(etag.quoted(), "\"b1f0\"");
    let app = Router::new().get("/", |request: Request| {
        Etag::from_request(&request).map_or_else(String::new, |etag| etag.as_str().to_owned())
    });
    for (header, read) in [
        ("\"b1f0\"", "b1f0"),
        ("b1f0", "b1f0"),
        (" \"b1f0\" ", "b1f0"),
        ("\"", "\""),
    ] {
        let request = Request::get("/").with_header("if-match", header);
        assert_eq!(testing::call(&app, request).text(), read, "{header}");
    }
}

#[test]
fn a_transaction_happens_whole_or_not_at_all() {
    let dapr = testing::dapr();
    block_on(async {
        store().save("gone", &1).await.unwrap();
        let first = store().transaction().upsert("a", &1).delete("gone");
        first.commit().await.unwrap();
        let second = store()
            .transaction()
            .upsert("b", &2)
            .delete("a")
            .save(Save::new("a2", &3).if_match(&"77".into()));
        let failed = second.commit().await;
        assert!(
            matches!(failed, Err(dapr::Error::EtagMismatch { .. })),
            "{failed:?}"
        );
        let nothing = store().transaction().upsert("c", &1).upsert("", &1);
        let failed = nothing.commit().await;
        assert!(matches!(failed, Err(dapr::Error::Invalid(_))), "{failed:?}");
        store().transaction().commit().await.unwrap();
    });
    assert_eq!(dapr.keys("statestore"), ["a"]);
}

#[test]
fn many_values_come_in_the_order_of_the_keys() {
    let dapr = testing::dapr();
    for key in ["a", "b", "c"] {
        dapr.set_state("statestore", key, json!(key));
    }
    let many = block_on(store().get_many::<String>(&["c", "x", "a", "c"])).unwrap();
    let values: Vec<_> = many
        .iter()
        .map(|(key, entry)| (key.as_str(), entry.as_ref().map(|e| e.value.as_str())))
        .collect();
    let c = ("c", Some("c"));
    assert_eq!(values, [c, ("x", None), ("a", Some("a")), c]);
    assert!(!many[0].1.as_ref().unwrap().etag.as_str().is_empty());
}

#[test]
fn one_bad_entry_of_a_bulk_is_an_error_that_names_it() {
    let answer = || Response::json(&json!([{"key": "a", "error": "on fire"}]));
    let (_, _outbound) = record(answer);
    let error = block_on(store().get_many::<u64>(&["a"])).unwrap_err();
    assert!(error.to_string().contains("`a`: on fire"), "{error}");
}

#[test]
fn an_update_starts_again_when_another_writes_in_between() {
    let dapr = Rc::new(testing::dapr());
    dapr.set_state("statestore", "n", json!(1));
    let (runs, other) = (Cell::new(0), Rc::clone(&dapr));
    let result = store();
    let update = result.update("n", |old: Option<u64>| {
        runs.set(runs.get() + 1);
        if runs.get() < 4 {
            other.set_state("statestore", "n", json!(runs.get() * 100));
        }
        old.unwrap() + 1
    });
    assert_eq!(block_on(update).unwrap(), 301);
    assert_eq!(runs.get(), 4);
    assert_eq!(dapr.state("statestore", "n").unwrap(), 301);
}

#[test]
fn an_update_of_nothing_starts_again_when_another_creates_it() {
    let dapr = Rc::new(testing::dapr());
    let other = Rc::clone(&dapr);
    let store = store();
    let update = store.update("n", move |old: Option<u64>| match old {
        None => {
            other.set_state("statestore", "n", json!(10));
            1
        }
        Some(old) => old + 1,
    });
    assert_eq!(block_on(update).unwrap(), 11);
}

#[test]
fn an_outbox_publishes_what_a_transaction_did_and_nothing_of_one_that_failed() {
    let dapr = testing::dapr();
    dapr.outbox("statestore", "pubsub", "changes");
    block_on(async {
        let done = store().transaction().upsert("a", &1).delete("b");
        done.commit().await.unwrap();
        let failed = store().transaction().save(Save::new("a", &2).first_write());
        failed.commit().await.unwrap_err();
        store().save("c", &3).await.unwrap();
        let projection = Save::new("p", "shown").metadata("outbox.projection", "true");
        let two = store().transaction().upsert("p", "kept").save(projection);
        two.commit().await.unwrap();
    });
    let changes = dapr.published("pubsub", "changes");
    let seen: Vec<_> = changes.iter().map(|change| &change["data"]).collect();
    assert_eq!(seen, [&json!(1), &json!("shown")]);
    assert_eq!(dapr.state("statestore", "p").unwrap(), "kept");
}

#[test]
fn an_update_that_never_gets_through_ends() {
    let dapr = testing::dapr();
    let writes = Rc::new(Cell::new(0));
    let count = Rc::clone(&writes);
    dapr.intercept(move |call| {
        (call.method().as_str() == "POST").then(|| {
            count.set(count.get() + 1);
            Ok(Response::json(&json!({"errorCode": "ERR_STATE_SAVE"})).with_status(409))
        })
    });
    let failed = block_on(store().update("n", |_: Option<u64>| 1));
    assert!(matches!(failed, Err(dapr::Error::EtagMismatch { .. })));
    assert_eq!(writes.get(), MISMATCHES_MAX);
}

#[test]
fn an_update_may_leave_things_as_they_are_or_refuse() {
    let dapr = testing::dapr();
    let store = store();
    block_on(async {
        let unchanged = store.try_update("n", |_: Option<u64>| Ok(None)).await;
        assert_eq!(unchanged.unwrap(), None);
        let refused = store.try_update("n", |_: Option<u64>| Err(Error::new(422, "no")));
        assert_eq!(refused.await.unwrap_err().status(), 422);
        let changed = store.try_update("n", |old: Option<u64>| Ok(Some(old.unwrap_or(1))));
        assert_eq!(changed.await.unwrap(), Some(1));
    });
    assert_eq!(dapr.keys("statestore"), ["n"]);
}

#[test]
fn only_mismatches_are_tried_again() {
    let attempts = Cell::new(0);
    let failed = retry_mismatches::<()>(async || {
        attempts.set(attempts.get() + 1);
        Err(dapr::Error::Timeout.into())
    });
    assert_eq!(block_on(failed).unwrap_err().status(), 504);
    assert_eq!(attempts.get(), 1);
}

#[test]
fn options_and_metadata_stand_where_dapr_reads_them() {
    let (seen, _outbound) = record(|| Response::new(204));
    let store = store()
        .with_consistency(Consistency::Strong)
        .with_metadata("partitionKey", "a b");
    block_on(async {
        let _ = store.get::<u64>("a/b c").await.unwrap();
        store.delete_if("k", &"7".into()).await.unwrap();
        let save = Save::new("k", "v")
            .if_match(&"7".into())
            .ttl(Duration::from_millis(1_200))
            .metadata("x", "y");
        let other = Save::new("l", &1)
            .concurrency(Concurrency::LastWrite)
            .consistency(Consistency::Eventual);
        store.save_all([save, other]).await.unwrap();
        store.save_all([]).await.unwrap();
        let transaction = store.transaction().delete("k").metadata("source", "test");
        transaction.commit().await.unwrap();
    });
    let seen = seen.borrow();
    let lines: Vec<_> = seen.iter().map(|call| call.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /v1.0/state/statestore/a%2Fb%20c?metadata.partitionKey=a%20b&consistency=strong",
            "DELETE /v1.0/state/statestore/k?metadata.partitionKey=a%20b&consistency=strong&concurrency=first-write",
            "POST /v1.0/state/statestore",
            "POST /v1.0/state/statestore/transaction",
        ]
    );
    assert_eq!(seen[1].headers["if-match"], "7");
    assert_eq!(
        seen[2].json(),
        json!([
            {"key": "k", "value": "v", "etag": "7", "metadata": {"ttlInSeconds": "2", "x": "y"},
             "options": {"concurrency": "first-write", "consistency": "strong"}},
            {"key": "l", "value": 1,
             "options": {"concurrency": "last-write", "consistency": "eventual"}},
        ])
    );
    assert_eq!(
        seen[3].json(),
        json!({"operations": [{"operation": "delete", "request": {"key": "k"}}],
               "metadata": {"source": "test"}})
    );
}

#[test]
fn a_key_that_would_address_something_else_is_refused_before_the_call() {
    let (seen, _outbound) = record(|| Response::new(204));
    for key in ["", ".", ".."] {
        let failed = block_on(store().get::<u64>(key));
        assert!(matches!(failed, Err(dapr::Error::Invalid(_))), "{key}");
    }
    assert!(block_on(store().save("", &1)).is_err());
    assert!(seen.borrow().is_empty());
}
