//! `bindings.http`: calls a web address.

use std::{collections::HashMap, time::Duration};

use ::http::{HeaderName, HeaderValue, Method, Request, Uri};
use axum::body::Body;
use http_body_util::{BodyExt, Limited};

use super::{Operation, Output, payload};
use crate::{runtime::HttpsClient, time::parse_duration};

/// An answer is kept whole in memory; Dapr's own limit for bodies.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Without `responseTimeout`; a binding that hangs must not hold its caller for ever.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct HttpBinding {
    url: String,
    timeout: Duration,
    error_if_not_2xx: bool,
    token: Option<(String, String)>,
}

impl HttpBinding {
    pub(super) fn new(url: &str, metadata: &HashMap<String, String>) -> Result<Self, String> {
        let parsed: Uri = url
            .parse()
            .map_err(|error| format!("{url:?} is no URL: {error}"))?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) {
            return Err(format!("{url:?} must start with http:// or https://"));
        }
        let timeout = match metadata.get("responsetimeout") {
            Some(text) => parse_duration(text).map_err(|error| error.to_string())?,
            None => DEFAULT_TIMEOUT,
        };
        let token = metadata
            .get("securitytokenheader")
            .zip(metadata.get("securitytoken"));
        Ok(Self {
            url: url.to_owned(),
            timeout,
            error_if_not_2xx: metadata
                .get("errorifnot2xx")
                .is_none_or(|value| value != "false"),
            token: token.map(|(header, token)| (header.clone(), token.clone())),
        })
    }

    pub(super) async fn invoke(
        &self,
        client: &HttpsClient,
        operation: Operation<'_>,
    ) -> Result<Output, String> {
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
        if self.error_if_not_2xx && !head.status.is_success() {
            return Err(format!("received status code {}", head.status.as_u16()));
        }
        let mut metadata = vec![
            ("statusCode".to_owned(), head.status.as_u16().to_string()),
            ("status".to_owned(), head.status.to_string()),
        ];
        for (name, value) in &head.headers {
            if let Ok(value) = value.to_str() {
                metadata.push((name.to_string(), value.to_owned()));
            }
        }
        Ok(Output { data, metadata })
    }

    fn request(&self, operation: &Operation<'_>) -> Result<Request<Body>, String> {
        let method = match operation.name {
            "create" => Method::POST,
            "get" | "post" | "put" | "patch" | "delete" | "head" | "options" | "trace" => {
                let name = operation.name.to_ascii_uppercase();
                Method::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?
            }
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
        let data = payload(operation.data);
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in &operation.metadata {
            // Dapr takes metadata with a capital for headers.
            if name.starts_with(|first: char| first.is_ascii_uppercase()) {
                let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
                let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
                request = request.header(name, value);
            }
        }
        if !operation.metadata.contains_key("Content-Type") && !data.is_empty() {
            request = request.header("content-type", "application/json; charset=utf-8");
        }
        if let Some(trace) = operation.traceparent {
            request = request.header("traceparent", trace);
        }
        if let Some((header, token)) = &self.token {
            request = request.header(header, token);
        }
        request
            .body(Body::from(data))
            .map_err(|error| error.to_string())
    }
}
