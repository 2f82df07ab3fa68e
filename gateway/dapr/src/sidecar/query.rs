//! Queries of a store that packages share. Values of other packages match too, and neither they nor their number may be
//! visible. So all pages are read here, and the package's own results are counted and paged again.

use axum::body::{Body, Bytes};
use http::{HeaderValue, Response, header::CONTENT_TYPE, request::Parts};
use serde::{Deserialize, Serialize};

use super::{
    answers::{Object, read, restore},
    bodies::write,
    client::collect,
    names::Names,
    outgoing,
    shared::Shared,
};
use crate::{
    error::{ApiError, ApiResult},
    protocol::{
        body::{self, forms::Query},
        message::{bytes, no_content},
        operation::Operation,
    },
};

/// Results asked of the sidecar at once.
const PAGE: i64 = 500;

/// Pages read for one query at most: it holds the store for that long.
const MAX_PAGES: usize = 200;

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    results: Vec<Object>,
    #[serde(default)]
    token: String,
}

#[derive(Serialize)]
struct Own<'a> {
    results: &'a [Object],
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Answers a query with what of its results is the caller's.
pub(super) async fn run(
    shared: &Shared,
    operation: &Operation,
    names: &Names<'_>,
    parts: &Parts,
    body: Body,
) -> ApiResult {
    let mut query: Query = body::go(body::query(&bytes(body).await?)?)?;
    let (from, limit) = part(&query)?;
    let until = limit.map(|limit| from.saturating_add(limit));
    let mut own: Vec<Object> = Vec::new();
    query.page.limit = Some(PAGE);
    query.page.token = String::new();
    for _ in 0..MAX_PAGES {
        // One more than asked for tells whether there are more.
        if until.is_some_and(|until| own.len() > until) {
            break;
        }
        let text = Body::from(write(&query)?);
        let request = outgoing::request(operation, names, parts, text).await?;
        let response = shared.client.send(request).await?;
        if !response.status().is_success() {
            return Ok(response);
        }
        let page = collect(response.into_body()).await?;
        let Found { mut results, token } = page_of(&page)?;
        let is_last = results.is_empty() || token.is_empty() || token == query.page.token;
        results.retain_mut(|item| restore(item, names));
        own.append(&mut results);
        if is_last {
            return answer(&own, from, until);
        }
        query.page.token = token;
    }
    if until.is_some_and(|until| own.len() > until) {
        return answer(&own, from, until);
    }
    let most = i64::try_from(MAX_PAGES)
        .unwrap_or(PAGE)
        .saturating_mul(PAGE);
    let message = format!("more than {most} values match; ask for fewer, or give the package a sidecar of its own");
    Err(ApiError::new(500, "ERR_STATE_QUERY", message))
}

/// Reads which part of the results is asked for: from where, and how many. The token is a number of ours.
fn part(query: &Query) -> Result<(usize, Option<usize>), ApiError> {
    let from = match query.page.token.as_str() {
        "" => Ok(0),
        token => token.parse::<usize>(),
    };
    let from = from.map_err(|_| ApiError::malformed("the token is none that a query answered"))?;
    let limit = query.page.limit.filter(|limit| *limit > 0);
    Ok((from, limit.and_then(|limit| usize::try_from(limit).ok())))
}

fn page_of(body: &Bytes) -> Result<Found, ApiError> {
    if body.is_empty() {
        return Ok(Found {
            results: Vec::new(),
            token: String::new(),
        });
    }
    read(body)
}

fn answer(own: &[Object], from: usize, until: Option<usize>) -> ApiResult {
    let until = until.unwrap_or(own.len()).min(own.len());
    let results = own.get(from..until).unwrap_or_default();
    if results.is_empty() {
        return no_content();
    }
    let token = (until < own.len()).then(|| until.to_string());
    let mut response = Response::new(Body::from(write(&Own { results, token })?));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
