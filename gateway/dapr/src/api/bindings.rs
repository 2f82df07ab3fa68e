//! Output bindings.

use axum::body::Body;
use http::HeaderName;

use super::call::Call;
use crate::{
    components::find,
    error::{ApiError, ApiResult},
    protocol::{
        body::{self, forms::Binding},
        message::{bytes, header_value, json_answer, no_content},
    },
    providers::bindings::{Failure, Operation, Output},
};

const FAILED: &str = "ERR_INVOKE_OUTPUT_BINDING";

pub(super) async fn invoke(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let Binding {
        operation,
        data,
        metadata,
    } = body::go(&bytes(body).await?)?;
    let runtime = call.runtime;
    let binding = find(&runtime.components.bindings, name, call.caller)
        .ok_or_else(|| ApiError::new(500, FAILED, format!("couldn't find output binding {name}")))?;
    let (trace, _) = call.trace();
    let operation = Operation {
        name: &operation,
        data: data.as_deref(),
        metadata,
        traceparent: Some(&trace),
    };
    let policy = runtime.components.resiliency.outbound(call.caller, name);
    let work = binding.it.invoke(&runtime.client, operation);
    let output = match policy.timeout {
        Some(limit) => tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {limit:?}").into())),
        None => work.await,
    };
    let (mut response, metadata) = match output {
        Ok(Output {
            data: None,
            metadata,
        }) => (no_content()?, metadata),
        Ok(Output {
            data: Some(data),
            metadata,
        }) => (json_answer(data)?, metadata),
        Err(Failure { reason, metadata }) => {
            let message = format!("error invoking output binding {name}: {reason}");
            let error = ApiError::new(500, FAILED, message);
            (error.into_response(), metadata)
        }
    };
    for (key, value) in &metadata {
        let name = HeaderName::try_from(format!("metadata.{key}"));
        if let (Ok(name), Some(value)) = (name, header_value(value)) {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}
