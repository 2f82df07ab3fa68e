//! The bodies of calls to the sidecar, rebuilt from what was parsed.

use axum::body::Body;
use serde::Serialize;

use super::{allowed_metadata::is_allowed, names::Names};
use crate::{
    error::ApiError,
    protocol::{
        body::{
            self,
            forms::{Binding, BulkEntry, BulkGet, Claim, Job, Metadata, Query, SaveItem, Transaction},
        },
        message::bytes,
        operation::Operation as Op,
    },
};

/// The body of the call to the sidecar: only what a published event carries is passed on as it is.
pub(super) async fn body(operation: &Op, names: &Names<'_>, body: Body) -> Result<Body, ApiError> {
    let written = match operation {
        Op::Publish { .. } => return Ok(bytes(body).await?.into()),
        Op::SaveState { .. }
        | Op::BulkGetState { .. }
        | Op::Transact { .. }
        | Op::QueryState { .. }
        | Op::BulkPublish { .. }
        | Op::Bind { .. }
        | Op::Lock { .. }
        | Op::Unlock { .. }
        | Op::ScheduleJob { .. } => rewritten(operation, names, &bytes(body).await?)?,
        _ => return Ok(Body::empty()),
    };
    Ok(written.into())
}

fn rewritten(operation: &Op, names: &Names<'_>, text: &[u8]) -> Result<Vec<u8>, ApiError> {
    match operation {
        Op::SaveState { .. } => {
            // One by one: an item takes many times the memory of its text.
            let mut written = vec![b'['];
            for piece in body::go_pieces(text)? {
                let mut item: SaveItem = body::go(piece)?;
                rename(&mut item, names)?;
                if written.len() > 1 {
                    written.push(b',');
                }
                written.append(&mut write(&item)?);
            }
            written.push(b']');
            Ok(written)
        }
        Op::BulkGetState { .. } => {
            let mut bulk: BulkGet = body::go(text)?;
            for key in &mut bulk.keys {
                *key = names.key(key)?;
            }
            tidy(&mut bulk.metadata);
            write(&bulk)
        }
        Op::Transact { .. } => {
            let mut transaction: Transaction = body::go(text)?;
            for change in &mut transaction.operations {
                rename(&mut change.request, names)?;
            }
            tidy(&mut transaction.metadata);
            write(&transaction)
        }
        Op::QueryState { .. } => write(&body::go::<Query>(body::query(text)?)?),
        Op::BulkPublish { .. } => {
            let mut entries: Vec<BulkEntry> = body::go(text)?;
            for entry in &mut entries {
                tidy(&mut entry.metadata);
                if names.are_shared() {
                    let source = "cloudevent.source".to_owned();
                    let app = || names.app().to_string();
                    entry.metadata.entry(source).or_insert_with(app);
                }
            }
            write(&entries)
        }
        Op::Bind { .. } => write(&body::go::<Binding>(text)?),
        Op::Lock { .. } | Op::Unlock { .. } => {
            let mut claim: Claim = body::proto(text)?;
            let code = match operation {
                Op::Lock { .. } => "ERR_TRY_LOCK",
                _ => "ERR_UNLOCK",
            };
            let renamed = names.key(&claim.resource_id);
            claim.resource_id = renamed.map_err(|error| ApiError::new(500, code, error.message()))?;
            write(&claim)
        }
        Op::ScheduleJob { .. } => write(&body::proto::<Job>(text)?),
        _ => Ok(Vec::new()),
    }
}

fn rename(item: &mut SaveItem, names: &Names<'_>) -> Result<(), ApiError> {
    item.key = names.key(&item.key)?;
    tidy(&mut item.metadata);
    Ok(())
}

fn tidy(metadata: &mut Metadata) {
    metadata.retain(|name, _| is_allowed(name));
}

pub(super) fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|error| ApiError::malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppId;

    fn written(operation: &Op, text: &str) -> String {
        let app = AppId::new("a").unwrap();
        let body = rewritten(operation, &Names::new(&app, true), text.as_bytes()).unwrap();
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn values_pass_as_they_are_written_and_what_is_not_read_is_not_sent() {
        let save = Op::SaveState {
            store: String::new(),
        };
        for (text, sent) in [
            (
                r#"[{"key":"k","value":1.000000000000000000001,"more":{"x":1}}]"#,
                r#"[{"key":"a:k","value":1.000000000000000000001}]"#,
            ),
            (
                r#"[{"key":"k","Key":"b:k","\u212aEY":"c:k","value":1,"value":{"key":2}}]"#,
                r#"[{"key":"a:c:k","value":{"key":2}}]"#,
            ),
            (
                r#"[{"Key":"k","ETag":"1","Options":{"Concurrency":"first-write"},"METADATA":{"ttlInSeconds":"1","dapr-app-id":"x"}}]"#,
                r#"[{"key":"a:k","etag":"1","metadata":{"ttlInSeconds":"1"},"options":{"concurrency":"first-write"}}]"#,
            ),
        ] {
            assert_eq!(written(&save, text), sent, "{text}");
        }
    }

    #[test]
    fn every_operation_of_a_transaction_is_renamed() {
        let text = r#"{"Operations":[{"operation":"upsert","Request":{"Key":"x","value":1}},
                       {"OPERATION":"delete","request":{"key":"y"}}],"metadata":{"p":"q"}}"#;
        let sent = r#"{"operations":[{"operation":"upsert","request":{"key":"a:x","value":1}},{"operation":"delete","request":{"key":"a:y"}}],"metadata":{"p":"q"}}"#;
        assert_eq!(
            written(
                &Op::Transact {
                    store: String::new()
                },
                text
            ),
            sent
        );
    }

    #[test]
    fn locks_are_renamed_in_either_spelling_and_a_job_without_data_has_null() {
        let lock = Op::Lock {
            store: String::new(),
        };
        let text = r#"{"resource_id":"r","lockOwner":"o","expiry_in_seconds":"5"}"#;
        let sent = r#"{"resourceId":"a:r","lockOwner":"o","expiryInSeconds":5}"#;
        assert_eq!(written(&lock, text), sent);
        let job = Op::ScheduleJob {
            name: String::new(),
        };
        let text = r#"{"due_time":"1s","failure_policy":{"constant":{"max_retries":3}}}"#;
        let sent = r#"{"dueTime":"1s","data":null,"failurePolicy":{"constant":{"maxRetries":3}}}"#;
        assert_eq!(written(&job, text), sent);
        let text = r#"{"schedule":"@daily","data":12345678901234567890123}"#;
        assert!(written(&job, text).contains(r#""data":12345678901234567890123"#));
    }
}
