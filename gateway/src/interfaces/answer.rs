//! Responses of the building blocks, as the interfaces read them.

use http::Response;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use wasmgate_dapr::Body;

use crate::account::{Charge, Kept};

/// The longest answer that is read for its words, in bytes.
const MOST_WORDS: usize = 16 << 10;

/// Reads the words of an answer that is a failure.
pub(super) async fn words(response: Response<Body>) -> String {
    /// Dapr's form of an error, and a problem document's.
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Words {
        error_code: String,
        message: String,
        detail: String,
    }
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), MOST_WORDS).await;
    let Words {
        error_code,
        message,
        detail,
    } = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
    let words = if message.is_empty() { detail } else { message };
    match (error_code.as_str(), words.as_str()) {
        ("", "") => format!("the building block answered {status}"),
        ("", words) => words.to_owned(),
        (code, words) => format!("{code}: {words}"),
    }
}

/// Reads an answer whole. What is there of it counts as the instance's memory, as long as the charge is there; while
/// it comes it counts twice, since what has come is put together.
///
/// # Errors
/// When it breaks off, or when it is more than the instance may have.
pub(super) async fn whole(response: Response<Body>, kept: &Kept) -> Result<(Vec<u8>, Charge), String> {
    let mut body = response.into_body();
    let (mut whole, mut charges) = (Vec::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        if let Ok(bytes) = frame.into_data() {
            let charge = kept.charge(bytes.len());
            charges.push(charge.map_err(|error| error.to_string())?);
            whole.extend_from_slice(&bytes);
        }
    }
    let charge = kept
        .charge(whole.len())
        .map_err(|error| error.to_string())?;
    Ok((whole, charge))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_told_by_its_code_and_its_words() {
        for (body, told) in [
            (
                r#"{"errorCode":"ERR_X","message":"no store"}"#,
                "ERR_X: no store",
            ),
            (r#"{"title":"t","detail":"no table"}"#, "no table"),
            ("not JSON", "the building block answered 500"),
            ("", "the building block answered 500"),
        ] {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            let told_now = words(response).await;
            assert!(told_now.starts_with(told), "{told_now}");
        }
    }
}
