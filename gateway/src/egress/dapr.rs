//! Guests' calls of the Dapr API, which the gateway answers itself.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use wasmgate_common::TRACEPARENT;
use wasmgate_dapr::{ApiRequest, Body, BuildingBlocks, Grants, OperationName, StateKeys, not_granted};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::account::{Account, Kept};

/// The endpoint of the Dapr API for guests, as Dapr's SDKs expect it.
pub(crate) const DAPR_ENDPOINT: &str = "http://localhost:3500";

/// The authorities that mean [`DAPR_ENDPOINT`].
const AUTHORITIES: [&str; 2] = ["localhost:3500", "127.0.0.1:3500"];

/// Returns whether a request of a guest is meant for the Dapr API.
pub(super) fn is_dapr(uri: &Uri) -> bool {
    uri.authority()
        .is_some_and(|authority| AUTHORITIES.contains(&authority.as_str()))
}

/// Propagates the trace context of the guest's request to its call, unless the guest set its own.
pub(super) fn continue_trace<B>(request: &mut Request<B>, trace: Option<&HeaderValue>) {
    if let Some(trace) = trace {
        request
            .headers_mut()
            .entry(TRACEPARENT)
            .or_insert_with(|| trace.clone());
    }
}

/// Bodies up to this size are not counted: a call takes as much anyway.
const SMALL: u64 = 16 << 10;

/// Answers a call of the Dapr API, with metrics. The buffered bodies are charged to `kept`: the request's until there
/// is a response, and the response's until it is read.
///
/// # Errors
/// When that exceeds the instance's limit.
pub(super) async fn call(
    account: &Account,
    building_blocks: Option<&BuildingBlocks>,
    request: Request<WasiBody>,
    kept: &Kept,
) -> Result<Response<WasiBody>, Error> {
    let request = request.map(|body| gathered(body, kept));
    let grants = &account.config.grants;
    to_guest(
        answered(account, building_blocks, grants, request).await,
        kept,
    )
}

/// Calls the Dapr API for a package, with metrics.
async fn answered(
    account: &Account,
    building_blocks: Option<&BuildingBlocks>,
    grants: &Grants,
    request: Request<Body>,
) -> Response<Body> {
    let Some(building_blocks) = building_blocks else {
        return not_granted();
    };
    let request = ApiRequest::parse(request);
    let timer = account.metrics().block_call(request.operation());
    let response = building_blocks
        .call(account.name().app_id(), grants, request)
        .await;
    if let Some(timer) = timer {
        timer.answered(response.status());
    }
    response
}

/// Calls of the Dapr API that the gateway makes on behalf of a guest, with separate grants. Cloning copies pointers.
#[derive(Clone)]
pub(crate) struct DaprDoor {
    pub(super) account: Arc<Account>,
    pub(super) building_blocks: Option<BuildingBlocks>,
    pub(super) trace: Option<HeaderValue>,
}

impl DaprDoor {
    /// The package that calls.
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Returns whether the building blocks store values verbatim: a sidecar's stores reformat JSON.
    pub(crate) fn is_verbatim(&self) -> bool {
        let blocks = self.building_blocks.as_ref();
        blocks.is_some_and(|blocks| blocks.embedded().is_some())
    }

    /// Answers one call of the Dapr API with these grants; failures are responses too.
    pub(crate) async fn call(&self, grants: &Grants, mut request: Request<Body>) -> Response<Body> {
        continue_trace(&mut request, self.trace.as_ref());
        answered(
            &self.account,
            self.building_blocks.as_ref(),
            grants,
            request,
        )
        .await
    }

    /// Lists keys of a state store, see [`BuildingBlocks::state_keys`].
    ///
    /// # Errors
    /// With the response that a call would have.
    pub(crate) async fn state_keys(
        &self,
        grants: &Grants,
        of: (&str, &str),
        after: Option<i64>,
    ) -> Result<StateKeys, Response<Body>> {
        let Some(blocks) = &self.building_blocks else {
            return Err(not_granted());
        };
        let timer = self
            .account
            .metrics()
            .block_call(OperationName::LIST_STATE_KEYS);
        let listed = blocks
            .state_keys(self.account.name().app_id(), grants, of, after)
            .await;
        if let Some(timer) = timer {
            timer.answered(
                listed
                    .as_ref()
                    .map_or_else(Response::status, |_| StatusCode::OK),
            );
        }
        listed
    }
}

/// The body of a call: its parts are charged until the call has ended, since most calls collect them first.
fn gathered(body: WasiBody, kept: &Kept) -> Body {
    let (kept, mut charges) = (kept.clone(), Vec::new());
    let counted = body.inspect_frame(move |frame| {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        // A guest whose charge is refused is stopped at its next tick.
        charges.extend(kept.charge(bytes).ok().filter(|_| bytes > 0));
    });
    Body::new(counted)
}

fn to_guest(response: Response<Body>, kept: &Kept) -> Result<Response<WasiBody>, Error> {
    let size = response.body().size_hint().lower();
    if size <= SMALL {
        return Ok(response.map(|body| body.map_err(broken).boxed_unsync()));
    }
    let charge = kept
        .charge(usize::try_from(size).unwrap_or(usize::MAX))
        .map_err(|error| Error::InternalError(Some(error.to_string())))?;
    Ok(response.map(|body| {
        let body = body.map_frame(move |frame| {
            let _until_it_is_dropped = &charge;
            frame
        });
        body.map_err(broken).boxed_unsync()
    }))
}

/// The error that a guest sees when a body breaks off.
pub(crate) fn broken(error: axum::Error) -> Error {
    Error::InternalError(Some(error.to_string()))
}
