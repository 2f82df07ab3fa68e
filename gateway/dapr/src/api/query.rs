//! The alpha state query.

use serde_json::json;

use super::{call::Call, state};
use crate::{
    error::{ApiError, ApiResult},
    protocol::{
        body,
        message::{bytes, json_answer, no_content},
    },
    store::{
        query::{Query, QueryError, run},
        store_error,
    },
    time::now_ms,
};
use axum::body::Body;

pub(super) async fn query(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let body = bytes(body).await?;
    let prefix = state::store(call, name)?.it.prefix.of(name, call.caller);
    let query: Query = body::go(&body)?;
    let (store, length) = (name.to_owned(), prefix.len());
    let found = call
        .runtime
        .store
        .scan(move |conn| Ok(run(conn, &store, &prefix, &query, now_ms())));
    let page = match found.await {
        Ok(Ok(page)) => page,
        Ok(Err(QueryError::Malformed(message))) => return Err(ApiError::malformed(message)),
        Ok(Err(QueryError::Store(error))) | Err(error) => {
            return Err(store_error("ERR_STATE_QUERY", &error));
        }
    };
    if page.rows.is_empty() {
        return no_content();
    }
    let results = page.rows.iter().map(|(key, item)| {
        let key = key.get(length..).unwrap_or(key);
        let (key, etag) = (json!(key), item.etag);
        format!(
            "{{\"key\":{key},\"data\":{},\"etag\":\"{etag}\"}}",
            item.value
        )
    });
    let results = results.collect::<Vec<_>>().join(",");
    let token = page
        .token
        .map(|token| format!(",\"token\":\"{token}\""))
        .unwrap_or_default();
    json_answer(format!("{{\"results\":[{results}]{token}}}"))
}
