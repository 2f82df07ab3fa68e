//! Keeping packages apart behind one sidecar: state keys, locks and jobs carry the app-id.
//!
//! A state key or lock becomes `{app-id}:{key}`: an app-id holds no colon, so no two packages can
//! meet. A job becomes `{length}-{app-id}-{name}`, as names of jobs may hold no colon.

use std::collections::BTreeMap;

use http::{header::CONTENT_TYPE, request::Parts};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;

use crate::{
    api::{
        call::{json, queries},
        operation::Operation,
    },
    app::AppId,
    error::ApiError,
    event::{CLOUD_EVENTS, media_type},
    grants::Grants,
};

/// A JSON object whose members are left as they are written.
type Object = BTreeMap<String, Box<RawValue>>;

/// The path and query of the call to the sidecar, if they differ from the caller's.
pub(super) fn path(operation: &Operation<'_>, app: &AppId, parts: &Parts) -> Option<String> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut path = match operation {
        Operation::GetState { store, key } | Operation::DeleteState { store, key } => {
            // Not sent on: with the prefix the sidecar would take it for a key.
            let key = if key.contains("||") {
                (*key).to_owned()
            } else {
                with_app(app, key)
            };
            format!("/v1.0/state/{}/{}", encode(store), encode(&key))
        }
        Operation::ScheduleJob { name }
        | Operation::GetJob { name }
        | Operation::DeleteJob { name } => format!("/v1.0/jobs/{}", encode(&job_of(app, name))),
        // The event is this package's, not the gateway's.
        Operation::Publish { .. } if names_no_source(parts) => {
            format!("{}?metadata.cloudevent.source={app}", parts.uri.path())
        }
        _ => return None,
    };
    if let Some(query) = parts.uri.query() {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(query);
    }
    Some(path)
}

/// Whether neither the body nor the query of a publish says where the event is from.
fn names_no_source(parts: &Parts) -> bool {
    let kind = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let is_event = kind.is_some_and(|kind| media_type(kind) == CLOUD_EVENTS);
    !is_event && queries(parts, "metadata.cloudevent.source").is_empty()
}

pub(super) fn rewrites_body(operation: &Operation<'_>) -> bool {
    matches!(
        operation,
        Operation::SaveState { .. }
            | Operation::BulkGetState { .. }
            | Operation::Transact { .. }
            | Operation::Lock { .. }
            | Operation::Unlock { .. }
    )
}

/// The body of the call to the sidecar.
pub(super) fn body(
    operation: &Operation<'_>,
    app: &AppId,
    body: &[u8],
) -> Result<Vec<u8>, ApiError> {
    match operation {
        Operation::SaveState { .. } => {
            let mut items: Vec<Object> = json(body)?;
            items
                .iter_mut()
                .try_for_each(|item| rename(item, "key", app))?;
            write(&items)
        }
        Operation::BulkGetState { .. } => {
            let mut bulk: Object = json(body)?;
            if let Some(keys) = bulk.get_mut("keys") {
                let named: Vec<String> = json(keys.get().as_bytes())?;
                let named: Vec<String> = named.iter().map(|key| with_app(app, key)).collect();
                *keys = raw(&named)?;
            }
            write(&bulk)
        }
        Operation::Transact { .. } => {
            let mut transaction: Object = json(body)?;
            if let Some(operations) = transaction.get_mut("operations") {
                let mut list: Vec<Object> = json(operations.get().as_bytes())?;
                for operation in &mut list {
                    let Some(request) = operation.get_mut("request") else {
                        continue;
                    };
                    let mut item: Object = json(request.get().as_bytes())?;
                    rename(&mut item, "key", app)?;
                    *request = raw(&item)?;
                }
                *operations = raw(&list)?;
            }
            write(&transaction)
        }
        Operation::Lock { .. } | Operation::Unlock { .. } => {
            let mut claim: Object = json(body)?;
            rename(&mut claim, "resourceId", app)?;
            write(&claim)
        }
        _ => Ok(body.to_vec()),
    }
}

pub(super) fn rewrites_answer(operation: &Operation<'_>, shared: bool) -> bool {
    match operation {
        Operation::BulkGetState { .. }
        | Operation::QueryState { .. }
        | Operation::GetJob { .. }
        | Operation::SubscribeConfiguration { .. } => shared,
        Operation::BulkSecrets { .. } | Operation::GetConfiguration { .. } => true,
        _ => false,
    }
}

/// The answer for the caller: its own names (`app` is set if they carry it), and only what it is
/// granted.
pub(super) fn answer(
    operation: &Operation<'_>,
    app: Option<&AppId>,
    grants: &Grants,
    body: &[u8],
) -> Result<Vec<u8>, ApiError> {
    let broken = |_| {
        let message = "the Dapr sidecar's answer is not as its API says";
        ApiError::new(502, "ERR_SIDECAR_ANSWER", message)
    };
    if body.is_empty() {
        return Ok(Vec::new());
    }
    match (operation, app) {
        (Operation::BulkGetState { .. }, Some(app)) => {
            let mut items: Vec<Object> = json(body).map_err(broken)?;
            items.retain_mut(|item| restore(item, app));
            write(&items)
        }
        (Operation::QueryState { .. }, Some(app)) => {
            let mut found: Object = json(body).map_err(broken)?;
            if let Some(results) = found.get_mut("results") {
                let mut items: Vec<Object> = json(results.get().as_bytes()).map_err(broken)?;
                // Other packages' values match too; they are not this one's to see.
                items.retain_mut(|item| restore(item, app));
                *results = raw(&items)?;
            }
            write(&found)
        }
        (Operation::GetJob { name }, Some(_)) => {
            let mut job: Object = json(body).map_err(broken)?;
            if let Some(named) = job.get_mut("name") {
                *named = raw(name)?;
            }
            write(&job)
        }
        (Operation::BulkSecrets { store }, _) => {
            let mut secrets: Object = json(body).map_err(broken)?;
            secrets.retain(|key, _| grants.allows_secret(store, key));
            write(&secrets)
        }
        (Operation::GetConfiguration { store }, _) => {
            let mut items: Object = json(body).map_err(broken)?;
            items.retain(|key, _| grants.allows_configuration(store, key));
            write(&items)
        }
        _ => Ok(body.to_vec()),
    }
}

/// The sidecar's name for a job of `app`.
fn job_of(app: &AppId, name: &str) -> String {
    let app = app.as_str();
    format!("{}-{app}-{name}", app.len())
}

/// The app and its own name for a job that the sidecar fires.
pub(super) fn job_owner(name: &str) -> Option<(AppId, &str)> {
    let (length, rest) = name.split_once('-')?;
    let (app, rest) = rest.split_at_checked(length.parse().ok()?)?;
    Some((AppId::new(app).ok()?, rest.strip_prefix('-')?))
}

fn with_app(app: &AppId, key: &str) -> String {
    // An empty key stays one, so that the sidecar refuses it.
    if key.is_empty() {
        String::new()
    } else {
        format!("{app}:{key}")
    }
}

fn rename(object: &mut Object, member: &str, app: &AppId) -> Result<(), ApiError> {
    if let Some(name) = object.get_mut(member) {
        let own: String = json(name.get().as_bytes())?;
        *name = raw(&with_app(app, &own))?;
    }
    Ok(())
}

/// Takes the app-id off `key`; false if it is not `app`'s.
fn restore(item: &mut Object, app: &AppId) -> bool {
    let Some(key) = item.get_mut("key") else {
        return false;
    };
    let Ok(full) = serde_json::from_str::<String>(key.get()) else {
        return false;
    };
    let own = full
        .strip_prefix(app.as_str())
        .and_then(|rest| rest.strip_prefix(':'));
    match own.and_then(|own| raw(own).ok()) {
        Some(own) => {
            *key = own;
            true
        }
        None => false,
    }
}

fn raw<T: serde::Serialize + ?Sized>(value: &T) -> Result<Box<RawValue>, ApiError> {
    serde_json::value::to_raw_value(value).map_err(|error| ApiError::malformed(error.to_string()))
}

fn write<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|error| ApiError::malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppId {
        AppId::new(name).unwrap()
    }

    #[test]
    fn no_two_apps_meet_in_a_key_or_job() {
        assert_ne!(with_app(&app("a"), "b:c"), with_app(&app("a.b"), "c"));
        assert_ne!(job_of(&app("a"), "b-c"), job_of(&app("a-b"), "c"));
        let name = job_of(&app("a-b"), "c-d");
        assert_eq!(job_owner(&name), Some((app("a-b"), "c-d")));
        assert_eq!(job_owner("99-a-b"), None);
        assert_eq!(job_owner("other"), None);
    }

    #[test]
    fn values_pass_as_they_are_written() {
        let operation = Operation::SaveState { store: "s" };
        let body = body(
            &operation,
            &app("a"),
            br#"[{"key":"k","value":1.000000000000000000001}]"#,
        );
        let text = String::from_utf8(body.unwrap()).unwrap();
        assert_eq!(text, r#"[{"key":"a:k","value":1.000000000000000000001}]"#);
    }

    #[test]
    fn every_operation_of_a_transaction_is_renamed() {
        let text = br#"{"operations":[{"operation":"upsert","request":{"key":"x","value":1}},
                       {"operation":"delete","request":{"key":"y"}}],"metadata":{"p":"q"}}"#;
        let body = body(&Operation::Transact { store: "s" }, &app("a"), text).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["operations"][0]["request"]["key"], "a:x");
        assert_eq!(value["operations"][1]["request"]["key"], "a:y");
        assert_eq!(value["metadata"]["p"], "q");
    }

    #[test]
    fn a_query_shows_only_the_callers_own() {
        let operation = Operation::QueryState { store: "s" };
        let text = br#"{"results":[{"key":"a:1","data":1},{"key":"b:2","data":2}]}"#;
        let body = answer(&operation, Some(&app("a")), &Grants::all(), text).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            value["results"],
            serde_json::json!([{"key": "1", "data": 1}])
        );
    }
}
