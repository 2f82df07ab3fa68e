//! Transactions on state, with the outbox: changes and events are applied together or not at all.

use super::{
    MAX_ITEMS, StateStore,
    change::etag,
    outbox::Projections,
    table::{self, Change, ChangeError},
};
use crate::{
    error::ApiError,
    event::Event,
    key::full_key,
    protocol::{
        body::forms::{self, Transaction},
        trace::Trace,
    },
    store::store_error,
    time::now_ms,
};

const FAILED: &str = "ERR_STATE_TRANSACTION";

impl StateStore<'_> {
    /// Makes all changes of a transaction or none. As beside a sidecar, the call's metadata holds for every operation;
    /// the body's own does not.
    pub(crate) async fn transact(
        &self,
        transaction: Transaction,
        metadata: &[(String, String)],
        trace: Trace<'_>,
    ) -> Result<(), ApiError> {
        if transaction.operations.len() > MAX_ITEMS {
            return Err(ApiError::malformed(format!(
                "more than {MAX_ITEMS} operations"
            )));
        }
        let outbox = self.outbox.as_ref();
        let mut projections = Projections::default();
        let mut operations = Vec::new();
        for forms::Change { operation, request } in transaction.operations {
            let kept = match outbox {
                Some(_) if operation == "upsert" => projections.take(request),
                _ => Some(request),
            };
            operations.extend(kept.map(|request| (operation, request)));
        }
        let (mut changes, mut events) = (Vec::new(), Vec::new());
        for (operation, item) in operations {
            let change = match operation.as_str() {
                "upsert" => {
                    if let Some(outbox) = outbox {
                        events.push(projections.event(self.app, trace, outbox, &item)?);
                    }
                    item.change(&self.prefix, metadata, FAILED)?
                }
                "delete" => Change::Delete {
                    key: full_key(&self.prefix, &item.key)?,
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
        self.commit(changes, events).await
    }

    async fn commit(&self, changes: Vec<Change>, events: Vec<Event>) -> Result<(), ApiError> {
        let (name, app, quotas) = (self.name.to_owned(), self.app.clone(), self.quotas());
        let addressed = self.block.broker.address(self.app, events);
        let topics = addressed.topics();
        let rows = changes.len() + addressed.rows();
        let work = move |conn: &rusqlite::Connection| {
            let now = now_ms();
            let mut changes = changes.iter();
            table::metered(conn, &app, &quotas, || {
                changes.try_for_each(|change| table::apply(conn, &name, app.as_str(), change, now))
            })?;
            addressed.push(conn, now)?;
            Ok::<_, ChangeError>(())
        };
        match self.block.store.write_for(self.app, rows, work).await {
            Ok(()) => {
                self.block.broker.wake_all(&topics);
                Ok(())
            }
            Err(error @ ChangeError::Mismatch(_)) => Err(ApiError::new(500, FAILED, error.to_string())),
            Err(ChangeError::Store(error)) => Err(store_error(FAILED, &error)),
        }
    }
}
