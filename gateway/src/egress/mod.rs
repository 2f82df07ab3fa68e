//! Outgoing requests of guests, denied unless the package's `outbound` names the origin.

mod body;
mod body_errors;
mod client;
mod connect;
mod counted;
mod dapr;
mod failed;
mod life;
mod next;
mod outgoing;
mod pool;
mod resolve;
mod settings;
mod watched;

use std::{future::Future, pin::pin, sync::Arc};

use http::{HeaderName, HeaderValue, Method};
use http_body_util::BodyExt as _;
use wasmgate_dapr::{BuildingBlocks, InvocationDepth};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::{
    account::{Account, Kept},
    address,
    admission::{Permit, Permits},
    error::ERROR_HEADER,
    request_headers::RequestId,
    unsent::CHUNK,
};
use outgoing::{Destination, Outgoing};

pub(crate) use body_errors::add_to_linker;
pub(crate) use client::Client;
pub(crate) use dapr::broken;
pub(crate) use dapr::{DAPR_ENDPOINT, DaprDoor};
pub(crate) use life::Life;
pub(crate) use next::{Handling, NextDoor, NextHandler, Own};
pub(crate) use settings::{Prepared, Settings};

/// The outgoing requests of one guest.
pub(crate) struct Egress {
    account: Arc<Account>,
    request_id: RequestId,
    client: Client,
    building_blocks: Option<BuildingBlocks>,
    /// The trace context of the guest's request.
    trace: Option<HeaderValue>,
    /// Created with the first request: most guests send none.
    permits: Option<Permits>,
    /// Created with the first counted body.
    kept: Option<Kept>,
    depth: InvocationDepth,
    /// How much of a body the guest may write at once.
    chunk: usize,
    /// The guest's lifetime, if it is a WASI 0.3 guest.
    life: Option<Life>,
}

type SendIo = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(http::Response<WasiBody>, SendIo), Error>;
type Sending = Box<dyn Future<Output = Sent> + Send>;

/// The memory of a call in flight: its task, the parts of the request, and entries in the instance's tables.
pub(crate) const CALL_BYTES: usize = 4 << 10;

impl Egress {
    /// For one instance of `package`, with the worker's `client`; its requests belong to the request with this id,
    /// `trace` and depth in a chain of invocations.
    pub(crate) fn new(
        account: Arc<Account>,
        request_id: RequestId,
        client: Client,
        building_blocks: Option<BuildingBlocks>,
        trace: Option<HeaderValue>,
        depth: InvocationDepth,
    ) -> Self {
        Self {
            account,
            request_id,
            client,
            building_blocks,
            trace,
            permits: None,
            kept: None,
            depth,
            chunk: CHUNK,
            life: None,
        }
    }

    /// Ties bodies to the guest's lifetime.
    pub(crate) fn tie_to(&mut self, life: Life) {
        self.life = Some(life);
    }

    /// Limits how much the guest may write at once of bodies that it begins from now on.
    pub(crate) fn bound_writes(&mut self, bytes: usize) {
        self.chunk = bytes;
    }

    /// Access to the building blocks on behalf of the guest.
    pub(crate) fn dapr_door(&self) -> DaprDoor {
        DaprDoor {
            account: Arc::clone(&self.account),
            building_blocks: self.building_blocks.clone(),
            trace: self.trace.clone(),
        }
    }

    /// The counter of the instance's buffered body bytes.
    pub(crate) fn kept(&mut self) -> &Kept {
        let limit = self.account.config.limits.memory;
        self.kept
            .get_or_insert_with(|| Kept::new(usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    /// The same, if anything was counted so far.
    pub(crate) fn kept_so_far(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// Admits a request, if the package may send it and has not too many in flight.
    fn let_out(&mut self, method: &Method, uri: &http::Uri) -> Result<Arc<Outgoing>, Error> {
        let to = Destination::parse(uri).ok_or(Error::HttpRequestUriInvalid)?;
        self.allows(method, &to)?;
        Ok(Arc::new(Outgoing {
            account: Arc::clone(&self.account),
            request_id: self.request_id.clone(),
            _permits: self.permits(&to)?,
            to,
        }))
    }

    fn allows(&self, method: &Method, to: &Destination) -> Result<(), Error> {
        let (scheme, mut outbound) = (to.scheme(), self.account.config.outbound.iter());
        let listed = outbound.any(|origin| origin.allows(&scheme, &to.host, to.port));
        let why = if !listed {
            "not in `outbound`"
        } else if !address::may_be_named(&to.host) {
            "the address is never open"
        } else if *method == Method::CONNECT {
            // The destination of a tunnel would not be checked.
            "tunnels are not let out"
        } else {
            return Ok(());
        };
        if self.account.may_log() {
            tracing::warn!(package = %self.account.name(), request_id = self.request_id.as_str(), origin = %to, why,
                "an outbound request was refused");
        }
        self.account.metrics().refused("outbound-denied");
        Err(Error::HttpRequestDenied)
    }

    fn permits(&mut self, to: &Destination) -> Result<[Permit; 3], Error> {
        let per_instance = self.account.config.limits.outbound_per_instance;
        let own = self
            .permits
            .get_or_insert_with(|| Permits::new(per_instance));
        let all = [
            ("outbound_per_instance", &*own),
            ("outbound_concurrency", &self.account.outbound),
            ("descriptors", self.client.permits()),
        ];
        let mut full = None;
        let mut take = |(limit, permits): (&'static str, &Permits)| {
            let permit = permits.take();
            if permit.is_none() {
                full = full.or(Some((limit, permits.limit())));
            }
            permit
        };
        let [of_instance, of_package, of_all] = all;
        if let (Some(a), Some(b), Some(c)) = (take(of_instance), take(of_package), take(of_all)) {
            return Ok([a, b, c]);
        }
        let (limit, slots) = full.unwrap_or_default();
        if self.account.may_log() {
            tracing::warn!(package = %self.account.name(), request_id = self.request_id.as_str(), origin = %to, limit,
                slots, "an outbound request was refused: too many are under way");
        }
        self.account.metrics().refused("outbound-limit");
        Err(Error::ConnectionLimitReached)
    }
}

/// A constant would be constructed for each comparison.
static OF_ONE_CONNECTION: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;

/// Connection-specific headers, and the one that the gateway sets.
pub(crate) fn is_forbidden(name: &HeaderName) -> bool {
    OF_ONE_CONNECTION.contains(name) || *name == ERROR_HEADER
}

impl WasiHttpHooks for Egress {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.chunk
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        self.chunk
    }

    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: SendIo,
    ) -> Sending {
        dapr::continue_trace(&mut request, self.trace.as_ref());
        match self.life.clone() {
            None => self.send(request, options),
            Some(life) => self.send_in(life, request, options),
        }
    }
}

impl Egress {
    /// Sends a request of a WASI 0.3 guest. The call counts as the guest's memory until there is a response, since it
    /// has no resource.
    fn send_in(&mut self, life: Life, request: http::Request<WasiBody>, options: Option<RequestOptions>) -> Sending {
        let charge = self.kept().charge(CALL_BYTES);
        let sending = Box::into_pin(self.send(request.map(|body| life.written(body)), options));
        Box::new(async move {
            let _until_answered = charge.map_err(|error| Error::InternalError(Some(error.to_string())))?;
            let (response, left) = sending.await?;
            Ok((response.map(|body| life.passing(body).boxed_unsync()), left))
        })
    }

    fn send(&mut self, mut request: http::Request<WasiBody>, options: Option<RequestOptions>) -> Sending {
        if dapr::is_dapr(request.uri()) {
            // Most requests come from outside.
            if self.depth != InvocationDepth::default() {
                request.extensions_mut().insert(self.depth);
            }
            let kept = self.kept().clone();
            let (account, building_blocks) = (Arc::clone(&self.account), self.building_blocks.clone());
            return Box::new(async move {
                let response = dapr::call(&account, building_blocks.as_ref(), request, &kept).await?;
                Ok((response, nothing_left()))
            });
        }
        let let_out = self.let_out(request.method(), request.uri());
        let (account, client) = (Arc::clone(&self.account), self.client.clone());
        Box::new(async move {
            let sending = pin!(async {
                let options = options.unwrap_or_default();
                client.send(request, options, let_out?).await
            });
            let response = counted::outbound(&account, sending).await?;
            Ok((response, nothing_left()))
        })
    }
}

/// The connection is driven by a task of the client, or does not exist: there is nothing left to drive.
fn nothing_left() -> SendIo {
    Box::new(async { Ok(()) })
}
