//! Queues and undeliverable events: `GET /queues`, `GET /parked`, `POST /parked/release` and `POST /parked/drop`.

use axum::{
    Json,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wasmgate_dapr::{Dapr, ParkedFilter, StoreError};

use super::{Status, guard::Allowed};

/// The default number of events in a list.
const LISTED: usize = 100;

/// The maximum number of events in a list, which is held in memory.
pub const MAX_LISTED: usize = 10_000;

/// An operator's selection of events.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// The subscribing package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The pub/sub component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pubsub: Option<String>,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// One event, by its number in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Events to list at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Confirms that everything is to be dropped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

impl Order {
    fn read(body: &[u8]) -> Result<Self, Failed> {
        serde_json::from_slice(body).map_err(|error| Failed::Order(error.to_string()))
    }

    fn filter(self) -> ParkedFilter {
        ParkedFilter {
            package: self.package,
            pubsub: self.pubsub,
            topic: self.topic,
            id: self.id,
        }
    }
}

pub(super) async fn queues(State(status): State<Status>) -> Response {
    match status.building_blocks() {
        Some(blocks) => Json(blocks.queues().await).into_response(),
        None => Json(json!([])).into_response(),
    }
}

pub(super) async fn list(
    State(status): State<Status>,
    order: Result<Query<Order>, QueryRejection>,
) -> Result<Response, Failed> {
    let Query(order) = order.map_err(|wrong| Failed::Order(wrong.body_text()))?;
    let Some(dapr) = queues_of(&status)? else {
        return Ok(Json(json!([])).into_response());
    };
    let limit = order.limit.unwrap_or(LISTED).min(MAX_LISTED);
    Ok(Json(dapr.parked(order.filter(), limit).await?).into_response())
}

pub(super) async fn release(State(status): State<Status>, _: Allowed, body: Bytes) -> Result<Response, Failed> {
    let order = Order::read(&body)?;
    let released = match queues_of(&status)? {
        Some(dapr) => dapr.release_parked(order.clone().filter()).await?,
        None => 0,
    };
    tracing::info!(
        package = order.package,
        pubsub = order.pubsub,
        topic = order.topic,
        id = order.id,
        released,
        "parked events were released"
    );
    Ok(Json(json!({ "released": released })).into_response())
}

pub(super) async fn discard(State(status): State<Status>, _: Allowed, body: Bytes) -> Result<Response, Failed> {
    let order = Order::read(&body)?;
    let filter = order.clone().filter();
    if filter.is_all() && !order.all {
        return Err(Failed::Order(
            "name a package, a pubsub, a topic or an id; to drop everything, send \"all\": true (`wasmgate parked drop --all`)"
                .to_owned(),
        ));
    }
    let dropped = match queues_of(&status)? {
        Some(dapr) => dapr.drop_parked(filter).await?,
        None => 0,
    };
    tracing::warn!(
        package = order.package,
        pubsub = order.pubsub,
        topic = order.topic,
        id = order.id,
        dropped,
        "parked events were dropped"
    );
    Ok(Json(json!({ "dropped": dropped })).into_response())
}

/// The runtime with the queues; `None` if no package uses building blocks.
fn queues_of(status: &Status) -> Result<Option<Dapr>, Failed> {
    if status.gateway().is_none() {
        return Err(Failed::NotYet);
    }
    match status.building_blocks() {
        Some(blocks) => blocks.embedded().cloned().map(Some).ok_or(Failed::Sidecar),
        None => Ok(None),
    }
}

/// A call of an operator that failed.
pub(super) enum Failed {
    /// The body is invalid.
    Order(String),
    NotYet,
    Sidecar,
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Order(wrong) => (StatusCode::BAD_REQUEST, wrong),
            Self::NotYet => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the gateway is starting; try again".to_owned(),
            ),
            Self::Sidecar => (
                StatusCode::NOT_IMPLEMENTED,
                "beside a sidecar, events that failed are kept by its broker; see its dead-letter topics".to_owned(),
            ),
            Self::Store(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        };
        (status, Json(json!({ "message": message }))).into_response()
    }
}
