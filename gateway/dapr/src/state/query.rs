//! Queries over state values: filter, sort and paging, translated to SQL.

use rusqlite::{Connection, params_from_iter, types::Value as SqlValue};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{MAX_ANSWER, table::Item};
use crate::{json, store::StoreError};

/// The body of a state query.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Query {
    #[serde(deserialize_with = "json::object")]
    filter: Map<String, Value>,
    sort: Vec<Sort>,
    page: Page,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sort {
    key: String,
    order: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    limit: Option<i64>,
    /// The number of results that came before, as text.
    token: Option<String>,
}

/// One page of results.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) rows: Vec<(String, Item)>,
    /// The start of the next page, if there is one.
    pub(crate) token: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error("{0}")]
    Malformed(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Results of one page at most, and where none is asked for.
const MAX_PAGE: u32 = 1000;
/// AND and OR within one another at most: the translation recurses.
const MAX_DEPTH: usize = 32;
/// Conditions in one filter at most; SQLite's own limit for parameters is far above.
const MAX_PARAMETERS: usize = 1000;

/// Runs `query` over the keys of `store` that start with `prefix`.
pub(crate) fn run(conn: &Connection, store: &str, prefix: &str, query: &Query, now: i64) -> Result<Found, QueryError> {
    let mut sql = Sql {
        text: String::new(),
        parameters: Vec::new(),
    };
    sql.push(
        "SELECT key, value, etag, expires_at FROM state WHERE store = ",
        store,
    );
    sql.push(" AND (expires_at IS NULL OR expires_at > ", now);
    sql.text.push(')');
    if !prefix.is_empty() {
        sql.push(" AND key >= ", prefix.to_owned());
        sql.push(" AND key < ", format!("{prefix}\u{10FFFF}"));
    }
    if !query.filter.is_empty() {
        sql.text.push_str(" AND ");
        sql.filter(&query.filter, 0)?;
    }
    sql.text.push_str(" ORDER BY ");
    for sort in &query.sort {
        sql.push("json_extract(value, ", path(&sort.key)?);
        sql.text
            .push_str(match sort.order.to_ascii_uppercase().as_str() {
                "" | "ASC" => "), ",
                "DESC" => ") DESC, ",
                other => {
                    return Err(malformed(format!(
                        "order {other:?} is neither ASC nor DESC"
                    )));
                }
            });
    }
    // None, or one that is no number of results, asks for as many as there may be.
    let limit = query
        .page
        .limit
        .and_then(|limit| u32::try_from(limit.min(MAX_PAGE.into())).ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(MAX_PAGE);
    let before: u64 = match query.page.token.as_deref().unwrap_or_default() {
        "" => 0,
        token => token
            .parse()
            .map_err(|_| malformed(format!("token {token:?} is none of ours")))?,
    };
    sql.push("key LIMIT ", i64::from(limit) + 1);
    sql.push(" OFFSET ", i64::try_from(before).unwrap_or(i64::MAX));
    let mut statement = conn.prepare(&sql.text)?;
    let found = statement.query_map(params_from_iter(sql.parameters), |row| {
        let item = Item {
            value: row.get(1)?,
            etag: row.get(2)?,
            expires_at: row.get(3)?,
        };
        Ok((row.get(0)?, item))
    })?;
    let (mut rows, mut bytes, mut more) = (Vec::new(), 0, false);
    for row in found {
        let (key, item): (String, Item) = row?;
        bytes += key.len() + item.value.len();
        // A page ends early rather than being too long, and goes on by its token.
        more = rows.len() >= limit as usize || (bytes > MAX_ANSWER && !rows.is_empty());
        if more {
            break;
        }
        rows.push((key, item));
    }
    let token = more.then(|| before + rows.len() as u64);
    Ok(Found { rows, token })
}

struct Sql {
    text: String,
    parameters: Vec<SqlValue>,
}

impl Sql {
    fn push(&mut self, text: &str, parameter: impl Into<Parameter>) {
        self.text.push_str(text);
        self.text.push('?');
        self.parameters.push(parameter.into().0);
    }

    /// One filter: `{"EQ": {path: value}}` and its like, `{"AND": [filter, …]}`.
    fn filter(&mut self, filter: &Map<String, Value>, depth: usize) -> Result<(), QueryError> {
        let mut operators = filter.iter();
        let (Some((operator, operand)), None) = (operators.next(), operators.next()) else {
            return Err(malformed("a filter holds exactly one operator".to_owned()));
        };
        if depth > MAX_DEPTH || self.parameters.len() > MAX_PARAMETERS {
            return Err(malformed("the filter is too large".to_owned()));
        }
        match operator.as_str() {
            "AND" | "OR" => {
                let parts = operand.as_array().filter(|parts| !parts.is_empty());
                let parts = parts.ok_or_else(|| malformed(format!("{operator} takes a list")))?;
                self.text.push('(');
                for (at, part) in parts.iter().enumerate() {
                    if at > 0 {
                        self.text
                            .push_str(if operator == "AND" { " AND " } else { " OR " });
                    }
                    let part = part.as_object();
                    let part = part.ok_or_else(|| malformed(format!("{operator} takes filters")))?;
                    self.filter(part, depth + 1)?;
                }
                self.text.push(')');
                Ok(())
            }
            "EQ" | "NEQ" | "GT" | "GTE" | "LT" | "LTE" | "IN" => self.compare(operator, operand),
            other => Err(malformed(format!(
                "there is no operator {other:?}; write EQ, NEQ, GT, GTE, LT, LTE, IN, AND or OR"
            ))),
        }
    }

    fn compare(&mut self, operator: &str, operand: &Value) -> Result<(), QueryError> {
        let pair = operand.as_object().filter(|pair| pair.len() == 1);
        let pair = pair.and_then(|pair| pair.iter().next());
        let (key, value) = pair.ok_or_else(|| malformed(format!("{operator} takes one path and its value")))?;
        self.push("json_extract(value, ", path(key)?);
        if operator == "IN" {
            let values = value.as_array().filter(|values| !values.is_empty());
            let values = values.ok_or_else(|| malformed("IN takes a list of values".to_owned()))?;
            self.text.push_str(") IN (");
            for (at, value) in values.iter().enumerate() {
                let value = scalar(value)?;
                self.push(if at > 0 { ", " } else { "" }, Parameter(value));
            }
            self.text.push(')');
            return Ok(());
        }
        let symbol = match operator {
            "EQ" => ") IS ",
            "NEQ" => ") IS NOT ",
            "GT" => ") > ",
            "GTE" => ") >= ",
            "LT" => ") < ",
            _ => ") <= ",
        };
        let value = scalar(value)?;
        self.push(symbol, Parameter(value));
        Ok(())
    }
}

struct Parameter(SqlValue);

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self(SqlValue::Text(text.to_owned()))
    }
}

impl From<String> for Parameter {
    fn from(text: String) -> Self {
        Self(SqlValue::Text(text))
    }
}

impl From<i64> for Parameter {
    fn from(number: i64) -> Self {
        Self(SqlValue::Integer(number))
    }
}

/// `person.org` as a JSON path; a leading `value.` is Dapr's older spelling of the same.
fn path(key: &str) -> Result<String, QueryError> {
    let key = key.strip_prefix("value.").unwrap_or(key);
    if key.is_empty() || key.contains('"') {
        return Err(malformed(format!("{key:?} is no path into a value")));
    }
    Ok(key
        .split('.')
        .fold("$".to_owned(), |path, part| format!("{path}.\"{part}\"")))
}

fn scalar(value: &Value) -> Result<SqlValue, QueryError> {
    Ok(match value {
        Value::Null => SqlValue::Null,
        Value::Bool(value) => SqlValue::Integer(i64::from(*value)),
        Value::String(text) => SqlValue::Text(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => SqlValue::Integer(number),
            (None, Some(number)) => SqlValue::Real(number),
            (None, None) => return Err(malformed(format!("{number} is too large a number"))),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(malformed("a filter compares with single values".to_owned()));
        }
    })
}

fn malformed(message: String) -> QueryError {
    QueryError::Malformed(message)
}
