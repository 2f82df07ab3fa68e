//! The alpha state query.

use axum::body::Body;
use serde::Serialize;

use super::{
    call::Call,
    state::{self, Entry, not_json},
};
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

#[derive(Serialize)]
struct Answer<'a> {
    results: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

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
    let entries = page
        .rows
        .iter()
        .map(|(key, item)| Entry::of_query(key.get(length..).unwrap_or(key), item));
    let entries = entries.collect::<Result<Vec<_>, _>>();
    let answer = entries.and_then(|results| {
        serde_json::to_vec(&Answer {
            results,
            token: page.token.map(|token| token.to_string()),
        })
    });
    json_answer(answer.map_err(|error| not_json("ERR_STATE_QUERY", &error))?)
}
