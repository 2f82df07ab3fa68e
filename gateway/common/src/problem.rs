//! Problem documents (RFC 9457): the body of an error response.

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// The media type of a problem document.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A problem document. `M` has the members beside those of the RFC that every document here has.
#[derive(Debug, Serialize)]
pub struct Problem<'a, M = NoMembers> {
    r#type: &'a str,
    title: &'a str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    #[serde(flatten)]
    members: M,
}

/// No members beside those that every document has.
#[derive(Debug, Serialize)]
pub struct NoMembers {}

impl<'a> Problem<'a> {
    /// A problem that its status tells enough of.
    pub fn new(status: StatusCode, title: &'a str) -> Self {
        Self::with("about:blank", status, title, NoMembers {})
    }
}

impl<'a, M: Serialize> Problem<'a, M> {
    /// A problem of a kind that `type` identifies, a URI, with members of its own.
    pub fn with(r#type: &'a str, status: StatusCode, title: &'a str, members: M) -> Self {
        Self {
            r#type,
            title,
            status,
            members,
        }
    }

    /// The answer to a request that had this problem.
    pub fn into_response<B: From<Vec<u8>>>(self) -> Response<B> {
        let document = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(document.into());
        *response.status_mut() = self.status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, MEDIA_TYPE);
        response
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_a_document_with_its_status_and_media_type() {
        #[derive(Serialize)]
        struct Grant {
            grant: &'static str,
        }
        let members = Grant {
            grant: "jobs = true",
        };
        let problem = Problem::with("urn:x", StatusCode::FORBIDDEN, "Not granted.", members);
        let response: Response<Vec<u8>> = problem.into_response();
        assert_eq!(response.status(), 403);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(
            response.body(),
            br#"{"type":"urn:x","title":"Not granted.","status":403,"grant":"jobs = true"}"#
        );
        let plain: Response<Vec<u8>> = Problem::new(StatusCode::NOT_FOUND, "No such thing.").into_response();
        assert_eq!(
            plain.body(),
            br#"{"type":"about:blank","title":"No such thing.","status":404}"#
        );
    }
}
