//! What a guest may call outside: nothing, unless its package's `outbound` names the origin.

mod address;
mod client;
mod counted;

use std::future::Future;
use std::sync::Arc;

use http::uri::Scheme;
use http::{HeaderName, HeaderValue};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

pub use client::Client;

use crate::blocks::{self, Blocks};
use crate::error::ERROR_HEADER;
use crate::package::Package;

/// One guest's door to the outside.
pub struct Egress {
    package: Arc<Package>,
    client: Client,
    blocks: Option<Blocks>,
    /// Of the request that the guest is at.
    trace: Option<HeaderValue>,
}

type SendIo = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(http::Response<WasiBody>, SendIo), Error>;

impl Egress {
    /// A door for one instance of `package`, on the worker that `client` belongs to; what it sends belongs to `trace`.
    pub fn new(
        package: Arc<Package>,
        client: Client,
        blocks: Option<Blocks>,
        trace: Option<HeaderValue>,
    ) -> Self {
        Self {
            package,
            client,
            blocks,
            trace,
        }
    }

    fn allows(&self, uri: &http::Uri) -> Result<(), Error> {
        let (Some(scheme), Some(host)) = (uri.scheme(), uri.host()) else {
            return Err(Error::HttpRequestUriInvalid);
        };
        let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default);
        let listed = self
            .package
            .config
            .outbound
            .iter()
            .any(|origin| origin.allows(scheme, host, port));
        if listed && address::may_be_named(host) {
            return Ok(());
        }
        tracing::warn!(package = %self.package.name, host, port, "outbound request refused: not in `outbound`");
        self.package.metrics().refused("outbound-denied");
        Err(Error::HttpRequestDenied)
    }
}

/// A constant would be made anew for every header that is compared with it.
static OF_ONE_CONNECTION: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;

/// Headers that describe one connection, and the one that is the gateway's word.
fn is_forbidden(name: &HeaderName) -> bool {
    OF_ONE_CONNECTION.contains(name) || *name == ERROR_HEADER
}

impl WasiHttpHooks for Egress {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: SendIo,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        blocks::continue_trace(&mut request, self.trace.as_ref());
        if blocks::is_dapr(request.uri()) {
            let (package, blocks) = (Arc::clone(&self.package), self.blocks.clone());
            return Box::new(async move {
                let response = match blocks {
                    Some(blocks) => counted::block(&package, &blocks, request).await,
                    None => blocks::absent(),
                };
                Ok((response, nothing_left()))
            });
        }
        let allowed = self.allows(request.uri());
        let (package, client) = (Arc::clone(&self.package), self.client.clone());
        Box::new(async move {
            let response = counted::outbound(&package, async {
                allowed?;
                client.send(request, options.unwrap_or_default()).await
            });
            let response = response.await?;
            Ok((response, nothing_left()))
        })
    }
}

/// A connection's own task is the client's, or there is no connection: nothing is left to drive.
fn nothing_left() -> SendIo {
    Box::new(async { Ok(()) })
}
