//! Invocations of apps.

use super::{
    answer::{failure, refuse},
    path::{decode, raw_segments},
    world::World,
};
use http::HeaderValue;

use crate::{HeaderMap, Request, Response, client, host::Incoming, stream::Payload, testing::respond};

const FAILED: &str = "ERR_DIRECT_INVOKE";

/// HeaderMap of one connection (RFC 9110, section 7.6.1), and those that are known as such.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "http2-settings",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl World {
    /// Invokes the app that the path or a header names; none if the call is no invocation.
    pub(super) fn invoke(&self, request: &mut Request) -> Option<Result<Response, client::Error>> {
        let path = request.path().to_owned();
        let segments = raw_segments(&path);
        let header = request.header("dapr-app-id").map(str::to_owned);
        let target = match (header, segments.as_slice()) {
            (Some(app), method) => self.target(&app, method),
            // A method may be empty, but not missing.
            (None, ["v1.0", "invoke", app, "method", method @ ..]) if !method.is_empty() || path.ends_with('/') => {
                decode(app).and_then(|app| self.target(&app, method))
            }
            (None, ["v1.0", "invoke", ..]) => refuse(404, FAILED, "no such call"),
            _ => return None,
        };
        Some(match target {
            Ok((app, target)) => self.call(&app, target, request),
            Err(refusal) => Ok(refusal),
        })
    }

    /// The app, and the path of its method.
    fn target(&self, app: &str, method: &[&str]) -> Result<(String, String), Response> {
        for segment in method {
            decode(segment)?;
        }
        // An app may be named with its namespace.
        let bare = app.split_once('.').map_or(app, |(bare, _)| bare);
        let app = [app, bare]
            .into_iter()
            .find(|app| self.router(app).is_some());
        let Some(app) = app else {
            let message = format!("failed to invoke, id: {bare}, err: couldn't find service: {bare}");
            return refuse(500, FAILED, &message);
        };
        Ok((app.to_owned(), format!("/{}", method.join("/"))))
    }

    fn call(&self, app: &str, mut target: String, request: &mut Request) -> Result<Response, client::Error> {
        let Some(router) = self.router(app) else {
            return Ok(failure(500, FAILED, "couldn't find service"));
        };
        if !request.query_string().is_empty() {
            target = format!("{target}?{}", request.query_string());
        }
        let mut headers = request.headers().clone();
        remove_hop_by_hop(&mut headers);
        headers.remove("dapr-app-id");
        if let Some(caller) = self.running().filter(|caller| caller != app) {
            for (name, id) in [
                ("dapr-caller-app-id", caller.as_str()),
                ("dapr-callee-app-id", app),
            ] {
                // An app-id of a test that no header can carry is left out.
                if let Ok(id) = HeaderValue::from_str(id) {
                    headers.insert(name, id);
                }
            }
        }
        let method = request.method().clone();
        let incoming = request.incoming_mut();
        let incoming = Incoming {
            authority: incoming.authority.clone(),
            headers,
            body: incoming.take_body(),
        };
        let request = Request::new(method, target, incoming);
        let mut response = self.run(app, || respond(&router, request))?;
        remove_hop_by_hop(response.headers_mut());
        name_content_type(&mut response);
        Ok(response)
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    for name in named.iter().map(String::as_str).chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Names the content type that the app did not, as a sidecar does.
fn name_content_type(response: &mut Response) {
    let Payload::Full(body) = &response.payload else {
        return;
    };
    if response.headers().contains_key("content-type") {
        return;
    }
    let is_control = |byte: &u8| matches!(byte, 0..=8 | 0xb | 0xe..=0x1a | 0x1c..=0x1f);
    let kind = match body.as_ref() {
        _ if response.status().as_u16() >= 400 => "application/json",
        [] => return,
        body if body.iter().any(is_control) => "application/octet-stream",
        _ => "text/plain; charset=utf-8",
    };
    response.set("content-type", kind);
}
