//! `bindings.http`: calls a URL.

use std::{collections::HashMap, time::Duration};

use ::http::{HeaderName, HeaderValue, Method, Request, Uri};
use axum::body::Body;
use http_body_util::{BodyExt, Limited};
use serde_json::value::RawValue;

use super::{Failure, Operation, Output, is_truthy};
use wasmgate_common::{Code, Diagnostic};

use crate::{providers::https::HttpsClient, time::parse_duration};

/// An answer is kept whole in memory; Dapr's own limit for bodies.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Without `responseTimeout`; a binding that hangs must not hold its caller for ever.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The content type that is sent and wanted unless the metadata says otherwise.
const JSON: &str = "application/json; charset=utf-8";

#[derive(Debug)]
pub(crate) struct HttpBinding {
    url: String,
    timeout: Duration,
    error_if_not_2xx: bool,
    token: Option<(String, String)>,
}

impl HttpBinding {
    pub(super) fn new(url: &str, metadata: &HashMap<String, String>) -> Result<Self, Diagnostic> {
        let help = "write one such as http://host:port/path";
        let wrong = |message| Diagnostic::new(Code::InvalidValue, message, help);
        let parsed: Uri = url
            .parse()
            .map_err(|error| wrong(format!("{url:?} is no URL: {error}")))?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) {
            return Err(wrong(format!(
                "{url:?} must start with http:// or https://"
            )));
        }
        let timeout = match metadata.get("responsetimeout") {
            Some(text) => parse_duration(text)?,
            None => DEFAULT_TIMEOUT,
        };
        let token = metadata
            .get("securitytokenheader")
            .zip(metadata.get("securitytoken"));
        Ok(Self {
            url: url.to_owned(),
            timeout,
            error_if_not_2xx: truthy(metadata.get("errorifnot2xx")).unwrap_or(true),
            token: token.map(|(header, token)| (header.clone(), token.clone())),
        })
    }

    pub(super) async fn invoke(&self, client: &HttpsClient, operation: Operation<'_>) -> Result<Output, Failure> {
        let request = self.request(&operation)?;
        let exchange = async {
            let response = client
                .request(request)
                .await
                .map_err(|error| error.to_string())?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            Ok::<_, String>((head, body.map_err(|error| error.to_string())?.to_bytes()))
        };
        let answer = tokio::time::timeout(self.timeout, exchange).await;
        let (head, data) = answer.map_err(|_| format!("no answer within {:?}", self.timeout))??;
        let mut metadata = vec![
            ("statusCode".to_owned(), head.status.as_u16().to_string()),
            ("status".to_owned(), head.status.to_string()),
        ];
        for (name, value) in &head.headers {
            if let Ok(value) = value.to_str() {
                metadata.push((name.to_string(), value.to_owned()));
            }
        }
        let strict = truthy(operation.metadata.get("errorIfNot2XX"));
        if strict.unwrap_or(self.error_if_not_2xx) && !head.status.is_success() {
            let reason = format!("received status code {}", head.status.as_u16());
            return Err(Failure { reason, metadata });
        }
        Ok(Output {
            data: Some(data),
            metadata,
        })
    }

    fn request(&self, operation: &Operation<'_>) -> Result<Request<Body>, String> {
        let method = match operation.name {
            "create" | "post" => Method::POST,
            "put" => Method::PUT,
            "patch" => Method::PATCH,
            "get" => Method::GET,
            "head" => Method::HEAD,
            "delete" => Method::DELETE,
            "options" => Method::OPTIONS,
            "trace" => Method::TRACE,
            other => return Err(format!("an HTTP binding knows no operation {other:?}")),
        };
        let path = operation.metadata.get("path").map_or("", String::as_str);
        if path.contains("..") {
            return Err(format!("path {path:?} may not hold \"..\""));
        }
        let url = match path {
            "" => self.url.clone(),
            path => format!(
                "{}/{}",
                self.url.trim_end_matches('/'),
                path.trim_start_matches('/')
            ),
        };
        let body = matches!(method, Method::POST | Method::PUT | Method::PATCH).then(|| compact(operation.data));
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in &operation.metadata {
            // Dapr takes metadata with a capital for headers.
            if name.starts_with(|first: char| first.is_ascii_uppercase()) {
                let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
                let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
                request = request.header(name, value);
            }
        }
        for (name, wanted) in [("Content-Type", body.is_some()), ("Accept", true)] {
            if wanted && !operation.metadata.contains_key(name) {
                request = request.header(name, JSON);
            }
        }
        if let Some(trace) = operation.traceparent {
            request = request.header("traceparent", trace);
        }
        if let Some((header, token)) = &self.token {
            request = request.header(header, token);
        }
        request
            .body(body.map_or_else(Body::empty, Body::from))
            .map_err(|error| error.to_string())
    }
}

fn truthy(value: Option<&String>) -> Option<bool> {
    value
        .filter(|value| !value.is_empty())
        .map(|value| is_truthy(value))
}

/// `data` as the JSON that it is, without the white space between its parts: a text keeps its quotes, and no data is
/// `null`.
fn compact(data: Option<&RawValue>) -> String {
    let text = data.map_or("null", RawValue::get);
    let mut compact = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if quoted || !c.is_ascii_whitespace() {
            compact.push(c);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_sent_without_white_space_and_with_its_own_digits_and_quotes() {
        let sent = |text: &str| compact(Some(&RawValue::from_string(text.to_owned()).unwrap()));
        assert_eq!(
            sent("{\"a b\" : [1.50, \"c \\\" d\\\\\" , 12345678901234567890123]\n}"),
            "{\"a b\":[1.50,\"c \\\" d\\\\\",12345678901234567890123]}"
        );
        assert_eq!(
            (sent("\"hi\"").as_str(), compact(None).as_str()),
            ("\"hi\"", "null")
        );
    }
}
