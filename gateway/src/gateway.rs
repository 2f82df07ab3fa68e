//! The main path of a request: route, admit, run, respond.

mod current;
mod dispatch;
mod rates;

use std::{
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body;
use http_body_util::{Either, Full};
use wasmgate_common::TRACEPARENT;
use wasmgate_dapr::{AppId, BuildingBlocks, InvocationDepth};
use wasmtime_wasi_http::Error;

use crate::{
    account::Account,
    config::Kind,
    egress::{self, Client},
    error::Failure,
    instance::{GuestBody, Mount, Reuse, RouteTimer},
    machine_memory::MachineMemory,
    metrics::{Metrics, RouteMetrics},
    package::{LoadedPackages, Loader, Package},
    request_headers::{self, Peer, REQUEST_ID, RequestId},
    request_log::RequestLine,
    routes::{NoMatch, Route, RouteTable},
    target::Target,
};

pub(crate) use current::{Current, WeakCurrent};
use dispatch::Dispatch;
use rates::Rates;

/// The body of a response: a guest's stream, or a problem document.
pub type ResponseBody = Either<GuestBody, Full<Bytes>>;

/// Everything that requests share under one configuration; it is immutable while they run.
pub struct Gateway {
    routes: RouteTable,
    /// By the route's index; created on first use.
    route_metrics: Vec<OnceLock<Arc<RouteMetrics>>>,
    rates: Rates,
    dispatch: Arc<Dispatch>,
    is_cut: AtomicBool,
}

/// What successive gateways of one process share; each has its own configuration.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Compiles and loads code.
    pub(crate) loader: Arc<Loader>,
    /// The code that is loaded.
    pub(crate) loaded_packages: Arc<LoadedPackages>,
    /// The building blocks, if any package uses them.
    pub(crate) building_blocks: Option<BuildingBlocks>,
    /// Settings of guests' outgoing requests.
    pub(crate) outbound: egress::Settings,
    /// The memory of all instances.
    pub(crate) memory: Arc<MachineMemory>,
    /// All metrics.
    pub(crate) metrics: Arc<Metrics>,
}

/// The connection that a request came in on.
#[derive(Clone)]
pub struct ConnectionInfo {
    pub(crate) peer: Peer,
    /// The HTTP client of the connection's worker, for requests of guests.
    pub(crate) client: Client,
    /// True for a sidecar, whose `dapr-*` headers are trusted.
    pub(crate) is_sidecar: bool,
}

impl Gateway {
    /// A gateway for these routes, whose package indices point into `packages`. Rate limiters of `before` are kept
    /// where the limits did not change.
    pub(crate) fn new(routes: Vec<Route>, packages: Vec<Arc<Package>>, shared: Shared, before: Option<&Self>) -> Self {
        let route_metrics = routes.iter().map(|_| OnceLock::new()).collect();
        let rates = Rates::new(&routes, &packages, before);
        Self {
            rates,
            routes: RouteTable::new(routes),
            route_metrics,
            dispatch: Arc::new(Dispatch { packages, shared }),
            is_cut: AtomicBool::new(false),
        }
    }

    /// A connection from `peer`, with an HTTP client of its own for guests' requests.
    pub fn connection(&self, peer: IpAddr) -> ConnectionInfo {
        ConnectionInfo {
            peer: peer.into(),
            client: self.client(),
            is_sidecar: false,
        }
    }

    /// An HTTP client for guests' requests, with a connection pool of its own.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.dispatch.shared.outbound.clone())
    }

    /// The building blocks, if any package uses them.
    pub(crate) fn building_blocks(&self) -> Option<&BuildingBlocks> {
        self.dispatch.shared.building_blocks.as_ref()
    }

    /// The packages, in the order of the configuration.
    pub(crate) fn packages(&self) -> &[Arc<Package>] {
        &self.dispatch.packages
    }

    /// The package with this app-id.
    pub(crate) fn package(&self, app: &AppId) -> Option<&Arc<Package>> {
        self.dispatch.package(app)
    }

    /// The packages that are loaded.
    pub(crate) fn loaded_packages(&self) -> &LoadedPackages {
        &self.dispatch.shared.loaded_packages
    }

    /// What it shares with its successor.
    pub(crate) fn shared(&self) -> &Shared {
        &self.dispatch.shared
    }

    /// The routes.
    pub(crate) fn routes(&self) -> &[Route] {
        self.routes.routes()
    }

    /// Returns memory of idle slots to the system, and ends idle instances.
    pub(crate) fn trim(&self) {
        self.reuses().for_each(Reuse::trim);
        self.dispatch.shared.loader.engines().trim();
    }

    /// Disables reuse of instances from now on.
    pub(crate) fn keep_no_instances(&self) {
        self.reuses().for_each(Reuse::close);
    }

    fn reuses(&self) -> impl Iterator<Item = &Reuse> {
        let packages = self.packages().iter();
        packages.filter_map(|package| package.reuse.as_deref())
    }

    /// Logs whose requests are cut at shutdown, once.
    pub(crate) fn warn_of_cut_requests(&self) {
        if self.is_cut.swap(true, Ordering::AcqRel) {
            return;
        }
        for package in self.packages() {
            let admission = &package.account.admission;
            let requests = admission.taken().saturating_add(admission.waiting());
            if requests > 0 {
                tracing::warn!(package = %package.name(), requests, "requests in flight are cut");
            }
        }
    }

    /// Answers one request from outside. Dropping the future stops the guest.
    pub async fn handle<B>(&self, request: Request<B>, connection: &ConnectionInfo) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Error>,
    {
        let id = RequestId::from_headers(request.headers());
        let is_head = request.method() == Method::HEAD;
        let mut line = RequestLine::begin(&request, &id);
        let mut response = match self.route(request, &id, connection, &mut line).await {
            Ok(response) => {
                let status = response.status();
                response.map(|body| Either::Left(body.with_line(line, status)))
            }
            Err(failure) => {
                let answer = failure.answer(is_head, id.as_str());
                if let Some(line) = line {
                    line.refused(&failure, answer.body().len());
                }
                answer.map(|body| Either::Right(Full::new(body)))
            }
        };
        response
            .headers_mut()
            .insert(REQUEST_ID, id.header().clone());
        response
    }

    /// Counts a request that was refused before it came here.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.dispatch.shared.metrics.unrouted(reason);
    }

    /// Counts connections and streams that were closed because of their client.
    pub(crate) fn cut(&self, reason: &'static str, count: u64) {
        self.dispatch
            .shared
            .metrics
            .cut
            .with_label_values(&[reason])
            .inc_by(count);
    }

    async fn route<B>(
        &self,
        mut request: Request<B>,
        id: &RequestId,
        connection: &ConnectionInfo,
        line: &mut Option<Box<RequestLine>>,
    ) -> Result<Response<GuestBody>, Failure>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Error>,
    {
        let found = self.find(&mut request);
        let (index, package, prefix) =
            found.inspect_err(|failure| self.dispatch.shared.metrics.unrouted(failure.reason()))?;
        let metrics = self.route_metrics(index, package);
        if !connection.is_sidecar {
            let admitted = self.admit_rate(index, package, request.headers(), &connection.peer);
            if let (Err(failure), Some(metrics)) = (&admitted, &metrics) {
                metrics.count(failure.status());
            }
            admitted?;
            request_headers::remove_dapr_headers(request.headers_mut());
        }
        let config = &package.account.config;
        // A middleware may pass the request on to a CGI program.
        if (config.kind == Kind::Cgi || config.next.is_some())
            && let Some(route) = self.routes.routes().get(index)
        {
            let client = connection.peer.client(request.headers());
            let (name, route) = (route.mount(), route.pattern().to_owned());
            let mount = Mount {
                name,
                route,
                client,
            };
            request.extensions_mut().insert(mount);
        }
        request_headers::stamp(request.headers_mut(), id, &connection.peer, prefix.as_ref());
        if let Some(line) = line {
            line.routed(metrics.clone(), request.headers().get(TRACEPARENT));
        }
        let timer = metrics.clone().map(RouteTimer::start);
        let answered = self
            .dispatch(package, request, id, &connection.client, timer)
            .await;
        if let Some(metrics) = metrics {
            metrics.count(
                answered
                    .as_ref()
                    .map_or_else(Failure::status, Response::status),
            );
        }
        answered
    }

    /// Applies the rate limits of the route and the package.
    fn admit_rate(&self, route: usize, package: &Package, headers: &HeaderMap, peer: &Peer) -> Result<(), Failure> {
        let of = self.routes.routes().get(route).map(Route::package);
        self.rates.check(route, of, headers, peer).map_err(|wait| {
            let failure = Failure::RateLimited(wait.as_secs().saturating_add(1));
            package.account.metrics().refused(failure.reason());
            failure
        })
    }

    /// Finds the route of this request, and replaces the request's path by the one that the guest sees.
    fn find<B>(&self, request: &mut Request<B>) -> Result<(usize, &Arc<Package>, Option<HeaderValue>), Failure> {
        let target = Target::from_request(request)?;
        let path = target.path();
        let found = self
            .routes
            .find(target.host(), &path, request.method())
            .map_err(|no| match no {
                NoMatch::NoRoute => Failure::NoRoute,
                NoMatch::MethodNotAllowed { allow } => Failure::MethodNotAllowed(allow),
            })?;
        let package = self
            .packages()
            .get(found.route.package())
            .ok_or(Failure::NoRoute)?;
        let (index, route) = (found.index, found.route);
        let prefix = target.apply(route, &path, request)?;
        if self.is_internal(&package.account, request.uri().path()) {
            return Err(Failure::NoRoute);
        }
        Ok((index, package, prefix))
    }

    /// Returns whether a path of a package is reserved for the building blocks.
    pub(crate) fn is_internal(&self, account: &Account, path: &str) -> bool {
        self.dispatch.is_internal(account, path)
    }

    fn route_metrics(&self, index: usize, package: &Package) -> Option<Arc<RouteMetrics>> {
        let route = self.routes.routes().get(index)?;
        let made = self.route_metrics.get(index)?;
        Some(Arc::clone(made.get_or_init(|| {
            Arc::new(
                self.dispatch
                    .shared
                    .metrics
                    .route(package.name().as_str(), route.pattern()),
            )
        })))
    }

    /// Runs a package on a request, however it arrived.
    pub(crate) async fn dispatch<B>(
        &self,
        package: &Arc<Package>,
        request: Request<B>,
        id: &RequestId,
        client: &Client,
        timer: Option<RouteTimer>,
    ) -> Result<Response<GuestBody>, Failure>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Error>,
    {
        let (mut parts, body) = request.into_parts();
        let depth = InvocationDepth::take(&mut parts.headers);
        let request = Request::from_parts(parts, body);
        self.dispatch
            .run(package, request, id, client, depth, timer)
            .await
    }
}
