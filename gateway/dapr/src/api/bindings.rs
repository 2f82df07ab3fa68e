//! Output bindings.

use axum::body::Body;
use http::HeaderName;

use super::call::Call;
use crate::{
    bindings::FAILED,
    error::{ApiError, ApiResult},
    protocol::{
        body::{self, forms::Binding},
        message::{bytes, header_value, json_answer, no_content},
    },
    providers::bindings::{Failure, Operation, Output},
};

pub(super) async fn invoke(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let Binding {
        operation,
        data,
        metadata,
    } = body::go(&bytes(body).await?)?;
    let trace = call.trace().parent_or_new();
    let operation = Operation {
        name: &operation,
        data: data.as_deref(),
        metadata,
        traceparent: Some(&trace),
    };
    let output = call
        .api
        .bindings
        .invoke(call.caller, name, operation)
        .await?;
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
