//! What failures mean.

use serde_json::json;
use wasmgate_sdk::{
    Request, Response, Router, client, dapr,
    testing::{self, block_on},
};

use crate::record;

fn get_with(answer: impl Fn() -> Response + 'static) -> dapr::Error {
    let (_, _outbound) = record(answer);
    block_on(dapr::state("s").get::<u64>("k")).unwrap_err()
}

/// What a failure is called, and the status of a handler that does nothing about it.
fn meaning(error: dapr::Error) -> (&'static str, u16) {
    let name = match &error {
        dapr::Error::NotGranted { .. } => "not granted",
        dapr::Error::NotFound { .. } => "not found",
        dapr::Error::EtagMismatch { .. } => "mismatch",
        dapr::Error::AlreadyExists { .. } => "exists",
        dapr::Error::Unavailable { .. } => "unavailable",
        dapr::Error::Timeout => "timeout",
        dapr::Error::Api { .. } => "api",
        _ => "other",
    };
    (name, wasmgate_sdk::Error::from(error).status().as_u16())
}

#[test]
fn every_answer_of_dapr_has_its_meaning() {
    for (status, code, expected) in [
        (403, "ERR_PUBSUB_FORBIDDEN", ("not granted", 500)),
        (401, "", ("not granted", 500)),
        (400, "ERR_STATE_STORE_NOT_FOUND", ("not found", 500)),
        (500, "ERR_STATE_STORE_NOT_CONFIGURED", ("not found", 500)),
        (401, "ERR_SECRET_STORE_NOT_FOUND", ("not found", 500)),
        (404, "ERR_PUBSUB_NOT_FOUND", ("not found", 500)),
        (409, "ERR_STATE_SAVE", ("mismatch", 409)),
        (409, "DAPR_SCHEDULER_SCHEDULE_JOB", ("exists", 409)),
        (500, "ERR_DIRECT_INVOKE", ("unavailable", 503)),
        (503, "", ("unavailable", 503)),
        (504, "", ("timeout", 504)),
        (500, "ERR_STATE_GET", ("api", 502)),
        (400, "ERR_MALFORMED_REQUEST", ("api", 502)),
    ] {
        let error = get_with(move || Response::json(&json!({"errorCode": code, "message": "m"})).with_status(status));
        assert_eq!(meaning(error), expected, "{status} {code}");
    }
}

#[test]
fn what_is_missing_is_told_from_what_fails_where_only_words_tell() {
    for (code, message, expected) in [
        ("ERR_SECRET_GET", "secret a not found", "not found"),
        ("ERR_SECRET_GET", "store has no secret \"a\"", "not found"),
        ("ERR_SECRET_GET", "the vault is sealed", "api"),
        (
            "ERR_STATE_TRANSACTION",
            "possible etag mismatch",
            "mismatch",
        ),
        (
            "ERR_STATE_TRANSACTION",
            "the ETag does not match",
            "mismatch",
        ),
        ("ERR_STATE_TRANSACTION", "the disk is full", "api"),
        ("ERR_STATE_GET", "not found", "api"),
    ] {
        let error = get_with(move || Response::json(&json!({"errorCode": code, "message": message})).with_status(500));
        assert_eq!(meaning(error).0, expected, "{message}");
    }
}

/// What Dapr 1.18 answers beside these stores, and what it means.
#[test]
fn every_stores_own_words_for_a_failed_precondition_are_a_mismatch() {
    const SAVE: &str = "failed saving state in state store statestore: ";
    const REDIS: &str = "ERR user_script:13: failed to set key shop||k script: bb4e8736, on @user_script:13.";
    const REDIS_6: &str =
        "ERR Error running script (call to f_bb4e8736): @user_script:13: user_script:13: failed to set key shop||k";
    let all = "possible etag mismatch. error from state store";
    for (status, code, message, expected) in [
        // sqlite, in-memory, PostgreSQL, MySQL, MongoDB and most others.
        (409, "ERR_STATE_SAVE", format!("{SAVE}{all}"), "mismatch"),
        (
            409,
            "ERR_STATE_DELETE",
            format!("failed deleting state with key k: {all}"),
            "mismatch",
        ),
        (
            500,
            "ERR_STATE_TRANSACTION",
            format!("error while executing state transaction: {all}"),
            "mismatch",
        ),
        // An ETag of another form.
        (
            409,
            "ERR_STATE_SAVE",
            format!("{SAVE}{all}: invalid UUID length: 5"),
            "mismatch",
        ),
        (
            400,
            "ERR_STATE_SAVE",
            format!("{SAVE}invalid etag value: strconv.Atoi: parsing \"x\": invalid syntax"),
            "mismatch",
        ),
        (
            400,
            "ERR_STATE_SAVE",
            "\"x\" is no ETag of this store".to_owned(),
            "mismatch",
        ),
        (
            400,
            "ERR_STATE_DELETE",
            "\"x\" is no ETag of this store".to_owned(),
            "mismatch",
        ),
        (
            500,
            "ERR_STATE_TRANSACTION",
            "\"x\" is no ETag of this store".to_owned(),
            "mismatch",
        ),
        // Redis.
        (
            500,
            "ERR_STATE_SAVE",
            format!("{SAVE}failed to set key shop||k: {REDIS}"),
            "mismatch",
        ),
        (
            500,
            "ERR_STATE_TRANSACTION",
            format!("error while executing state transaction: {REDIS}"),
            "mismatch",
        ),
        (
            500,
            "ERR_STATE_TRANSACTION",
            format!("error while executing state transaction: {REDIS_6}"),
            "mismatch",
        ),
        (
            500,
            "ERR_STATE_TRANSACTION",
            "failed to set key shop||k".to_owned(),
            "mismatch",
        ),
        // `create` in PostgreSQL, CockroachDB, SQL Server and Oracle.
        (
            500,
            "ERR_STATE_SAVE",
            format!("{SAVE}no item was updated"),
            "mismatch",
        ),
        (
            500,
            "ERR_STATE_TRANSACTION",
            "error while executing state transaction: no item was updated".to_owned(),
            "mismatch",
        ),
        (
            500,
            "ERR_STATE_SAVE",
            format!("{SAVE}ORA-00001: unique constraint (SYS_C1) violated"),
            "mismatch",
        ),
        // Two transactions that met.
        (
            500,
            "ERR_STATE_TRANSACTION",
            "ERROR: deadlock detected (SQLSTATE 40P01)".to_owned(),
            "mismatch",
        ),
        (
            500,
            "ERR_STATE_TRANSACTION",
            "transaction failed due to operation 0 which failed with status code 412".to_owned(),
            "mismatch",
        ),
        // Nothing of the kind, though some say so.
        (
            500,
            "ERR_STATE_SAVE",
            format!("{SAVE}failed to set key k: ERR unknown command"),
            "api",
        ),
        (
            500,
            "ERR_STATE_SAVE",
            format!("{SAVE}failed to set key k: dial tcp 127.0.0.1:6379: connect: connection refused"),
            "unavailable",
        ),
        (
            409,
            "ERR_STATE_DELETE",
            format!("failed deleting state with key k: {all}: dial tcp 10.0.0.7:6379: i/o timeout"),
            "unavailable",
        ),
        (
            409,
            "ERR_STATE_SAVE",
            format!("{SAVE}{all}: context deadline exceeded"),
            "timeout",
        ),
        (
            500,
            "ERR_STATE_GET",
            "fail to get k from state store s: conn closed: unexpected EOF".to_owned(),
            "unavailable",
        ),
        (
            500,
            "ERR_STATE_GET",
            "fail to get etag from state store s: no item was updated".to_owned(),
            "api",
        ),
        (500, "ERR_PUBSUB_PUBLISH_MESSAGE", all.to_owned(), "api"),
        (
            500,
            "ERR_STATE_SAVE",
            format!("{SAVE}the disk is full"),
            "api",
        ),
    ] {
        let answer = json!({"errorCode": code, "message": message});
        let error = get_with(move || Response::json(&answer).with_status(status));
        assert_eq!(meaning(error).0, expected, "{status} {code}: {message}");
    }
}

#[test]
fn what_the_scheduler_says_is_read_from_its_words() {
    for (message, expected) in [
        (
            "rpc error: code = NotFound desc = job not found: j",
            ("not found", 500),
        ),
        (
            "rpc error: code = AlreadyExists desc = job already exists: 'j'",
            ("exists", 409),
        ),
        (
            "rpc error: code = Unavailable desc = connection error",
            ("unavailable", 503),
        ),
        (
            "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
            ("timeout", 504),
        ),
        (
            "rpc error: code = InvalidArgument desc = no schedule",
            ("api", 502),
        ),
    ] {
        let answer = json!({"errorCode": "DAPR_SCHEDULER_SCHEDULE_JOB", "message": message});
        let error = get_with(move || Response::json(&answer).with_status(500));
        assert_eq!(meaning(error), expected, "{message}");
    }
}

#[test]
fn a_missing_grant_is_named() {
    let problem = || {
        Response::json(&json!({"title": "not granted", "detail": "add state = [\"s\"]"}))
            .with_status(403)
            .with_header("content-type", "application/problem+json")
    };
    let error = get_with(problem);
    assert!(matches!(
        &error,
        dapr::Error::NotGranted { message } if message == "add state = [\"s\"]"
    ));
}

#[test]
fn an_error_that_is_no_json_is_still_told() {
    let error = get_with(|| Response::text("invalid api token").with_status(401));
    assert!(error.to_string().contains("invalid api token"), "{error}");
    let error = get_with(|| Response::bytes([0xff].as_slice()).with_status(500));
    assert_eq!(meaning(error).0, "api");
}

#[test]
fn failures_of_the_call_itself_have_their_meaning() {
    let calls: [(fn() -> client::Error, _); 3] = [
        (|| client::Error::Timeout, ("timeout", 504)),
        (|| client::Error::Denied, ("not granted", 500)),
        (
            || client::Error::Connect("refused".into()),
            ("unavailable", 503),
        ),
    ];
    for (failure, expected) in calls {
        let _outbound = testing::outbound(move |_| Err(failure()));
        let error = block_on(dapr::state("s").get::<u64>("k")).unwrap_err();
        assert_eq!(
            error.is_retryable(),
            expected.0 != "not granted",
            "{expected:?}"
        );
        assert_eq!(meaning(error), expected);
    }
}

#[test]
fn entries_of_a_bulk_that_failed_are_named() {
    let answer = || {
        let failed = json!([{"entryId": "1", "error": "full"}]);
        let body = json!({"failedEntries": failed, "errorCode": "ERR_PUBSUB_PUBLISH_MESSAGE"});
        Response::json(&body).with_status(500)
    };
    let (_, _outbound) = record(answer);
    let messages = [1, 2].map(|n| dapr::pubsub::Message::json(&n));
    let error = block_on(dapr::pubsub("p").send_all("t", messages)).unwrap_err();
    let dapr::Error::Bulk { failed } = error else {
        panic!("{error}")
    };
    assert_eq!(failed[0].index(), Some(1));
}

#[test]
fn an_unhandled_failure_answers_the_client_without_its_words() {
    let _outbound = testing::outbound(|_| Err(client::Error::Connect("10.0.0.7".into())));
    let app = Router::new().get("/", |_| async {
        dapr::state("s").save("k", &1).await?;
        Ok::<_, wasmgate_sdk::Error>(())
    });
    let reply = testing::call(&app, Request::get("/"));
    assert_eq!(reply.status(), 503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!(!reply.text().contains("10.0.0.7"));
}
