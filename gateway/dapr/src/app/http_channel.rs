//! The channel to an ordinary process, over HTTP.

use axum::body::Body;
use http::{HeaderValue, Request, Uri, uri};
use hyper_util::client::legacy::{Client, connect::HttpConnector};

use super::{AppChannel, AppId, DeliverError, DeliverFuture};

/// A channel to one app over HTTP: an ordinary process beside the gateway.
#[derive(Clone, Debug)]
pub struct HttpAppChannel {
    app: AppId,
    client: Client<HttpConnector, Body>,
    authority: uri::Authority,
    token: Option<HeaderValue>,
}

impl HttpAppChannel {
    /// A channel to `app`, which listens on `authority` (`127.0.0.1:8080`); no other app is known
    /// to it. With a `token` every request carries it as `dapr-api-token`, Dapr's
    /// `APP_API_TOKEN`.
    pub fn new(app: AppId, authority: uri::Authority, token: Option<HeaderValue>) -> Self {
        let client = Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
        Self {
            app,
            client,
            authority,
            token,
        }
    }
}

impl AppChannel for HttpAppChannel {
    fn deliver(&self, app: &AppId, mut request: Request<Body>) -> DeliverFuture {
        if *app != self.app {
            let unknown = DeliverError::NoSuchApp(app.clone());
            return Box::pin(async move { Err(unknown) });
        }
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(uri::Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts
            .path_and_query
            .get_or_insert(uri::PathAndQuery::from_static("/"));
        if let Some(token) = &self.token {
            request
                .headers_mut()
                .insert("dapr-api-token", token.clone());
        }
        let (client, app) = (self.client.clone(), app.clone());
        Box::pin(async move {
            let unavailable = |reason: String| DeliverError::Unavailable { app, reason };
            match Uri::from_parts(parts) {
                Ok(uri) => *request.uri_mut() = uri,
                Err(error) => return Err(unavailable(error.to_string())),
            }
            match client.request(request).await {
                Ok(response) => Ok(response.map(Body::new)),
                Err(error) => Err(unavailable(error.to_string())),
            }
        })
    }
}
