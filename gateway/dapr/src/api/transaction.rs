//! Transactions on state, with the outbox.

use axum::body::Body;

use super::{
    call::{Call, full_key},
    change::etag,
    outbox::Projections,
    state::{MAX_ITEMS, store},
};
use crate::{
    app::AppId,
    error::{ApiError, ApiResult},
    event::Event,
    protocol::{
        body::{
            self,
            forms::{self, Transaction},
        },
        message::{bytes, no_content},
    },
    store::{
        queue,
        state::{self, Change, ChangeError},
        store_error,
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
    let transaction: Transaction = body::go(&body)?;
    if transaction.operations.len() > MAX_ITEMS {
        return Err(ApiError::malformed(format!(
            "more than {MAX_ITEMS} operations"
        )));
    }
    // As beside a sidecar, the query's metadata holds for every operation; the body's own does not.
    let query = call.metadata();
    let mut projections = Projections::default();
    let mut operations = Vec::new();
    for forms::Change { operation, request } in transaction.operations {
        let kept = match &outbox {
            Some(_) if operation == "upsert" => projections.take(request),
            _ => Some(request),
        };
        operations.extend(kept.map(|request| (operation, request)));
    }
    let (mut changes, mut events) = (Vec::new(), Vec::new());
    for (operation, item) in operations {
        let change = match operation.as_str() {
            "upsert" => {
                if let Some(outbox) = &outbox {
                    events.push(projections.event(call, outbox, &item)?);
                }
                item.change(&prefix, &query, "ERR_STATE_TRANSACTION")?
            }
            "delete" => Change::Delete {
                key: full_key(&prefix, &item.key)?,
                etag: etag(item.etag.as_deref()),
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

/// Changes and events together: all of it or nothing.
async fn commit(call: &Call<'_>, name: &str, changes: Vec<Change>, events: Vec<Event>) -> ApiResult {
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
