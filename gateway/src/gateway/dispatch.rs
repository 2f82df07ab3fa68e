//! Runs packages, however a request arrived: by a route, from the building blocks, or from a middleware.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use wasmgate_common::TRACEPARENT;
use wasmgate_dapr::{AppId, InvocationDepth, is_dapr_path};
use wasmtime_wasi_http::{Error, WasiBody};

use super::Shared;
use crate::{
    account::{Account, queue},
    egress::{Client, Egress, Handling, NextHandler},
    error::Failure,
    instance::{self, BodyError, Call, GuestBody, Mount, RequestBody, RouteTimer},
    package::Package,
    request_headers::{RequestId, Told},
};

/// The packages of a configuration, and what runs them.
pub(super) struct Dispatch {
    /// In the order of the configuration.
    pub(super) packages: Vec<Arc<Package>>,
    /// What gateways of other configurations share.
    pub(super) shared: Shared,
}

impl Dispatch {
    /// The package with this app-id.
    pub(super) fn package(&self, app: &AppId) -> Option<&Arc<Package>> {
        let found = self
            .packages
            .binary_search_by(|package| package.name().app_id().cmp(app));
        self.packages.get(found.ok()?)
    }

    /// Returns whether a path of a package is reserved for the building blocks.
    pub(super) fn is_internal(&self, account: &Account, path: &str) -> bool {
        match &self.shared.building_blocks {
            Some(blocks) if !account.config.grants.is_none() => blocks.is_internal(account.name().app_id(), path),
            _ => is_dapr_path(path),
        }
    }

    /// Runs a package on a request, at this depth in a chain of invocations.
    pub(super) async fn run<B>(
        self: &Arc<Self>,
        package: &Arc<Package>,
        request: Request<B>,
        id: &RequestId,
        client: &Client,
        depth: InvocationDepth,
        timer: Option<RouteTimer>,
    ) -> Result<Response<GuestBody>, Failure>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Error>,
    {
        let account = &package.account;
        let refused = |failure: Failure| {
            account.metrics().refused(failure.reason());
            failure
        };
        let (parts, body) = request.into_parts();
        let trace = parts.headers.get(TRACEPARENT).cloned();
        let body =
            RequestBody::new(body, account.config.limits.request_body).ok_or_else(|| refused(Failure::BodyTooLarge))?;
        if account.memory.is_short() {
            account.metrics().refused("server-memory");
            return Err(Failure::Overloaded);
        }
        let permit = match account.admission.take() {
            Some(permit) => permit,
            None => queue::wait(account, &parts).await.map_err(refused)?,
        };
        let loaded = package
            .get(&self.shared.loader, &self.shared.loaded_packages)
            .map_err(|_| refused(Failure::PackageUnavailable))?;
        let next = self.next(account, |package| Next {
            package,
            dispatch: Arc::clone(self),
            id: id.clone(),
            client: client.clone(),
            mount: parts.extensions.get().cloned(),
            told: Told::of(&parts.headers),
            depth,
        });
        let call = Call {
            account: Arc::clone(account),
            loaded,
            reuse: package.reuse.clone(),
            permit,
            egress: Egress::new(
                Arc::clone(account),
                id.clone(),
                client.clone(),
                self.shared.building_blocks.clone(),
                trace,
                depth,
            ),
            next,
            request_id: id.clone(),
            timer,
        };
        instance::run(call, Request::from_parts(parts, body)).await
    }

    /// The package behind a middleware, as a handler.
    fn next(&self, account: &Account, make: impl FnOnce(Arc<Package>) -> Next) -> Option<Arc<dyn NextHandler>> {
        let next = account.config.next.as_ref()?;
        let package = self.package(next.app_id())?;
        Some(Arc::new(make(Arc::clone(package))))
    }
}

/// A package that handles what a middleware passes on, for one request.
#[derive(Clone)]
struct Next {
    /// The package.
    package: Arc<Package>,
    /// What runs it.
    dispatch: Arc<Dispatch>,
    /// The request id.
    id: RequestId,
    /// For the requests of its guest.
    client: Client,
    /// For CGI programs.
    mount: Option<Mount>,
    /// The headers that the gateway gave the middleware.
    told: Told,
    /// The request's depth in a chain of invocations.
    depth: InvocationDepth,
}

impl NextHandler for Next {
    fn handle(&self, request: Request<WasiBody>) -> Handling {
        let next = self.clone();
        Box::pin(next.answer(request))
    }
}

impl Next {
    async fn answer(self, mut request: Request<WasiBody>) -> Response<WasiBody> {
        let is_head = request.method() == Method::HEAD;
        let id = self.id.clone();
        self.prepare(&mut request);
        match self.run(request).await {
            Ok(response) => response,
            Err(failure) => failure.answer(is_head, id.as_str()).map(whole),
        }
    }

    fn prepare(&self, request: &mut Request<WasiBody>) {
        let authority = request.uri().authority();
        let host = authority.map(|authority| HeaderValue::from_str(authority.as_str()));
        if let Some(Ok(host)) = host {
            request.headers_mut().insert(header::HOST, host);
        }
        self.told.stamp(request.headers_mut(), &self.id);
        if let Some(mount) = self.mount.clone() {
            request.extensions_mut().insert(mount);
        }
    }

    async fn run(self, request: Request<WasiBody>) -> Result<Response<WasiBody>, Failure> {
        let Self {
            package,
            dispatch,
            id,
            client,
            depth,
            ..
        } = self;
        if dispatch.is_internal(&package.account, request.uri().path()) {
            return Err(Failure::NoRoute);
        }
        let response = dispatch
            .run(&package, request, &id, &client, depth, None)
            .await?;
        Ok(response.map(|body| body.map_err(broken).boxed_unsync()))
    }
}

fn whole(document: Bytes) -> WasiBody {
    Full::new(document)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// The middleware learns only that a body broke off.
fn broken(error: BodyError) -> Error {
    match error {
        BodyError::Guest(_) => Error::HttpResponseIncomplete,
        BodyError::Broken(error) => error,
    }
}
