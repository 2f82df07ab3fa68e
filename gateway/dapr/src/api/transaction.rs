//! Transactions on state, with the outbox.

use axum::body::Body;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    call::{Call, bytes, full_key, json, no_content, or_default, store_error},
    change::{SaveItem, etag},
    state::{MAX_ITEMS, store},
};
use crate::{
    app::AppId,
    components::Outbox,
    error::{ApiError, ApiResult},
    event::{self, Event, Publication},
    store::{
        queue,
        state::{self, Change, ChangeError},
    },
    time::now_ms,
};

pub(super) async fn transact(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let body = bytes(body).await?;
    let component = store(call, name)?;
    let (prefix, outbox) = (
        component.it.prefix.of(name, call.caller),
        component.it.outbox.clone(),
    );
    let transaction: Transaction = json(&body)?;
    if transaction.operations.len() > MAX_ITEMS {
        return Err(ApiError::malformed(format!(
            "more than {MAX_ITEMS} operations"
        )));
    }
    // As beside a sidecar, the query's metadata holds for every operation; the body's own does not.
    let query = call.metadata();
    let (mut changes, mut events) = (Vec::new(), Vec::new());
    for operation in transaction.operations {
        let SaveItem { key, .. } = &operation.request;
        if let Some(outbox) = &outbox {
            let data = operation
                .request
                .value
                .as_deref()
                .map_or("null", RawValue::get);
            let event = outbox_event(call, outbox, key, data, &operation.operation)?;
            events.push(event);
        }
        let change = match operation.operation.as_str() {
            "upsert" => {
                let item = operation.request;
                item.change(&prefix, &query, "ERR_STATE_TRANSACTION")?
            }
            "delete" => Change::Delete {
                key: full_key(&prefix, key)?,
                etag: etag(operation.request.etag.as_deref()),
            },
            other => {
                let message = format!("there is no operation {other:?}; write upsert or delete");
                return Err(ApiError::new(
                    400,
                    "ERR_NOT_SUPPORTED_STATE_OPERATION",
                    message,
                ));
            }
        };
        changes.push(change);
    }
    commit(call, name, changes, events).await
}

/// The event that a transaction's change is published as.
fn outbox_event(
    call: &Call<'_>,
    outbox: &Outbox,
    key: &str,
    data: &str,
    operation: &str,
) -> Result<Event, ApiError> {
    let (traceparent, operation) = (call.traceparent(), format!("outbox.{operation}"));
    let publication = Publication {
        source: call.caller.as_str(),
        pubsub: &outbox.pubsub,
        topic: &outbox.topic,
        content_type: "application/json",
        traceparent: &traceparent,
        tracestate: call.header("tracestate").unwrap_or_default(),
        overrides: vec![("subject", key), ("operation", &operation)],
    };
    let envelope = event::wrap(&publication, data.as_bytes())
        .map_err(|error| ApiError::new(400, "ERR_STATE_TRANSACTION", error.to_string()))?;
    Ok(Event {
        pubsub: outbox.pubsub.clone(),
        topic: outbox.topic.clone(),
        data: envelope.to_string().into(),
        content_type: event::CLOUD_EVENTS.to_owned(),
        raw: false,
        tracestate: call.header("tracestate").map(str::to_owned),
        traceparent: Some(traceparent),
        expires_at: None,
    })
}

/// Changes and events together: all of it or nothing.
async fn commit(
    call: &Call<'_>,
    name: &str,
    changes: Vec<Change>,
    events: Vec<Event>,
) -> ApiResult {
    let store = name.to_owned();
    let broker = &call.runtime.broker;
    let topics: Vec<_> = events
        .iter()
        .map(|event| (event.pubsub.clone(), event.topic.clone()))
        .collect();
    let events: Vec<_> = events
        .into_iter()
        .map(|event| {
            let apps = broker.subscribers(&event.pubsub, &event.topic);
            (event, apps)
        })
        .collect();
    let outcome = call.runtime.store.write(move |conn| {
        let now = now_ms();
        changes
            .iter()
            .try_for_each(|change| state::apply(conn, &store, change, now))?;
        for (event, apps) in &events {
            queue::push(conn, event, apps.iter().map(AppId::as_str), now)?;
        }
        Ok::<_, ChangeError>(())
    });
    match outcome.await {
        Ok(()) => {
            for (pubsub, topic) in topics {
                broker.wake(&pubsub, &topic);
            }
            no_content()
        }
        Err(error @ ChangeError::Mismatch(_)) => Err(ApiError::new(
            500,
            "ERR_STATE_TRANSACTION",
            error.to_string(),
        )),
        Err(ChangeError::Store(error)) => Err(store_error("ERR_STATE_TRANSACTION", &error)),
    }
}

#[derive(Deserialize)]
struct Transaction {
    #[serde(default, deserialize_with = "or_default")]
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    operation: String,
    request: SaveItem,
}
