//! The Dapr door: a guest's calls of the Dapr API, which the gateway answers itself.

use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt as _;
use wasmgate_common::TRACEPARENT;
use wasmgate_dapr::{ApiRequest, Body, BuildingBlocks, not_granted};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::account::Account;

/// The place of the Dapr API for guests, as Dapr's own SDKs expect it.
pub(crate) const DAPR_ENDPOINT: &str = "http://localhost:3500";

/// The authorities that mean [`DAPR_ENDPOINT`].
const AUTHORITIES: [&str; 2] = ["localhost:3500", "127.0.0.1:3500"];

/// Returns whether a request of a guest is meant for the Dapr API.
pub(super) fn is_dapr(uri: &Uri) -> bool {
    uri.authority()
        .is_some_and(|authority| AUTHORITIES.contains(&authority.as_str()))
}

/// Lets a guest's call go on with the trace of the request that caused it, unless the guest says otherwise.
pub(super) fn continue_trace<B>(request: &mut Request<B>, trace: Option<&HeaderValue>) {
    if let Some(trace) = trace {
        request
            .headers_mut()
            .entry(TRACEPARENT)
            .or_insert_with(|| trace.clone());
    }
}

/// Answers a call of the Dapr API, counted by its result and timed to the head of its answer.
pub(super) async fn call(
    account: &Account,
    building_blocks: Option<&BuildingBlocks>,
    request: Request<WasiBody>,
) -> Response<WasiBody> {
    let Some(building_blocks) = building_blocks else {
        return to_guest(not_granted());
    };
    let request = ApiRequest::parse(request.map(Body::new));
    let timer = account.metrics().block_call(request.operation());
    let (app, grants) = (account.name().app_id(), &account.config.grants);
    let response = building_blocks.call(app, grants, request).await;
    if let Some(timer) = timer {
        timer.answered(response.status());
    }
    to_guest(response)
}

fn to_guest(response: Response<Body>) -> Response<WasiBody> {
    response.map(|body| body.map_err(broken).boxed_unsync())
}

/// The error that a guest sees of a body that broke off.
pub(crate) fn broken(error: axum::Error) -> Error {
    Error::InternalError(Some(error.to_string()))
}
