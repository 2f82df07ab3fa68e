//! Responses that must not have content, and their heads.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// Returns whether a response to `method` has no content, whatever its sender wrote (RFC 9110: 9.3.2 for HEAD, 15.3.5,
/// 15.3.6 and 15.4.5 for the statuses).
pub(crate) fn is_forbidden(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD || is_forbidden_by(status)
}

/// Returns whether a response with this status has no content, whatever the method.
pub(crate) fn is_forbidden_by(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    )
}

/// Makes the head of a response without content say nothing that is not so. What it says of the content that GET would
/// have brought stands; `length` is what is known of it if the head does not say.
pub(crate) fn fit(headers: &mut HeaderMap, status: StatusCode, length: Option<u64>) {
    match status {
        // RFC 9110, 8.6: a length would only be mistaken for that of a body.
        StatusCode::NO_CONTENT => {
            headers.remove(header::CONTENT_LENGTH);
        }
        StatusCode::RESET_CONTENT => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        StatusCode::NOT_MODIFIED => {}
        _ => {
            if let Some(length) = length {
                headers
                    .entry(header::CONTENT_LENGTH)
                    .or_insert_with(|| HeaderValue::from(length));
            }
        }
    }
    headers.remove(header::TRAILER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_keeps_the_length_of_get_and_204_has_none() {
        let length = |status, said: Option<u64>, known| {
            let mut headers = HeaderMap::new();
            if let Some(said) = said {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(said));
            }
            fit(&mut headers, status, known);
            headers
                .get(header::CONTENT_LENGTH)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(
            length(StatusCode::OK, Some(5), Some(9)).as_deref(),
            Some("5")
        );
        assert_eq!(length(StatusCode::OK, None, Some(9)).as_deref(), Some("9"));
        assert_eq!(length(StatusCode::OK, None, None), None);
        assert_eq!(length(StatusCode::NO_CONTENT, Some(5), Some(9)), None);
        assert_eq!(
            length(StatusCode::RESET_CONTENT, Some(5), None).as_deref(),
            Some("0")
        );
        assert_eq!(
            length(StatusCode::NOT_MODIFIED, Some(5), Some(0)).as_deref(),
            Some("5")
        );
    }
}
