//! The state of one guest's store: environment, clocks, random numbers, log, and the requests that it may send.

use std::sync::{Arc, atomic::AtomicUsize};

use http::{HeaderValue, uri::Authority};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpView, p3};
use wasmtime_wasi_io::IoView;

use super::{
    answer::Answer,
    budget::RequestBudget,
    file_places::OpenFiles,
    handed::Handed,
    holdings::FIELDS_BYTES,
    memory::Memory,
    output::{GuestOutput, LogLevel, Stream},
    script::Script,
    turns,
};
use crate::{
    account::{Account, Kept, OpenFolders, with_files},
    egress::{self, DaprDoor, Egress, Life, NextDoor, NextHandler, Own},
    request_headers::RequestId,
};

/// The state of a store, owned by one request.
pub(crate) struct HostState {
    pub(super) memory: Memory,
    pub(super) answer: Answer,
    account: Arc<Account>,
    request_id: RequestId,
    /// Created on first use: most guests never use it, and creating it takes a dozen allocations.
    wasi: Option<WasiCtx>,
    /// The environment of a CGI program.
    pub(super) script: Option<Box<Script>>,
    /// The log budget of the request; created on first use.
    log_budget: Option<Arc<RequestBudget>>,
    pub(super) open_files: OpenFiles,
    /// The number of files that the host has open for it; created on first use.
    pub(super) host_files: Option<Arc<AtomicUsize>>,
    http: WasiHttpCtx,
    /// The guest has obtained a body to write.
    pub(super) has_written: bool,
    /// The guest has computed for so long that it had to yield.
    pub(super) has_given_way: bool,
    egress: Egress,
    /// The handler behind a middleware.
    next: Option<Box<NextDoor>>,
    /// The parts of its WASI context that belong to a request, if it may be reused.
    lasting: Option<Box<Lasting>>,
}

/// The parts of a WASI context that are switched to each request of a reused instance.
struct Lasting {
    outputs: [GuestOutput; 2],
    folders: Option<Arc<OpenFolders>>,
}

impl HostState {
    pub(super) fn new(
        account: Arc<Account>,
        egress: Egress,
        request_id: RequestId,
        answer: Answer,
        globals: u64,
    ) -> Self {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_BYTES);
        Self {
            memory: Memory::new(
                account.config.limits.memory,
                globals,
                Arc::clone(&account.memory),
            ),
            answer,
            account,
            request_id,
            wasi: None,
            script: None,
            log_budget: None,
            open_files: OpenFiles::default(),
            host_files: None,
            http,
            has_written: false,
            has_given_way: false,
            egress,
            next: None,
            lasting: None,
        }
    }

    /// Switches to the fresh state of another request. The instance keeps its own state: its memory, long-lived
    /// resources, and its WASI context.
    pub(super) fn turn_to(&mut self, request: Self) {
        let Self {
            memory: _,
            answer,
            account,
            request_id,
            wasi: _,
            script,
            log_budget: _,
            open_files: _,
            host_files: _,
            http,
            has_written,
            has_given_way,
            egress,
            next,
            lasting: _,
        } = request;
        let budget = self.lasting.as_ref().map(|lasting| {
            let budget = Arc::default();
            for output in &lasting.outputs {
                output.turn_to(&request_id, &budget);
            }
            budget
        });
        self.log_budget = budget;
        (self.answer, self.account, self.request_id) = (answer, account, request_id);
        (self.script, self.http) = (script, http);
        (self.has_written, self.has_given_way) = (has_written, has_given_way);
        (self.egress, self.next) = (egress, next);
        self.memory.renew();
    }

    /// Returns whether the response's body was aborted.
    pub(super) fn has_broken_body(&self) -> bool {
        let handed = self.answer.handed.as_ref();
        handed.is_some_and(Handed::is_broken)
    }

    /// Drops the state of the request that was answered, and returns whether nothing of it is left.
    pub(super) fn rest(&mut self) -> bool {
        for output in self.lasting.iter().flat_map(|lasting| &lasting.outputs) {
            output.end();
        }
        (self.answer, self.next) = (Answer::default(), None);
        self.memory.holds_nothing_of_a_request()
    }

    /// Returns whether the folders that the guest reads are current.
    pub(super) fn has_folders_of_now(&self) -> bool {
        let known = self
            .lasting
            .as_ref()
            .and_then(|lasting| lasting.folders.as_ref());
        known.is_none_or(|known| {
            let now = self.account.files.now(&self.account.config.files);
            Arc::ptr_eq(known, &now)
        })
    }

    /// Connects the handler behind a middleware, for as long as the guest lives; `authority` and `length` are those of
    /// the middleware's own request.
    pub(super) fn open_next(
        &mut self,
        handler: Arc<dyn NextHandler>,
        (authority, length): (Option<Authority>, Option<HeaderValue>),
        life: Life,
    ) {
        let own = Own {
            authority,
            length,
            account: Arc::clone(&self.account),
            id: self.request_id.clone(),
        };
        let kept = self.kept();
        self.next = Some(Box::new(NextDoor::new(handler, own, kept, life)));
    }

    /// Fills in the destination of a request to that handler, as far as the guest did not.
    pub(super) fn complete_next(&mut self, request: &Resource<p3::Request>) {
        if let (Some(next), Ok(request)) = (&mut self.next, self.memory.table.get_mut(request)) {
            next.complete(request);
            next.take_length(request);
        }
    }

    /// Returns whether this is a middleware.
    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// Returns whether the `content-length` of the guest's response is that of the response behind it, and not of its
    /// own body.
    pub(super) fn is_anothers(&self, length: &HeaderValue, body: &WasiBody) -> bool {
        let next = self.next.as_ref();
        next.is_some_and(|next| next.is_anothers(length, body))
    }

    /// The view through which requests to that handler are sent.
    pub(super) fn next_http(&mut self) -> WasiHttpCtxView<'_> {
        self.called();
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.memory.table,
            hooks: match &mut self.next {
                Some(next) => &mut **next,
                // A component that imports it is only served with `next`.
                None => &mut self.egress,
            },
        }
    }

    /// Limits how much of a body the guest may write at once.
    pub(super) fn bound_writes(&mut self, bytes: usize) {
        self.egress.bound_writes(bytes);
        if let Some(next) = &mut self.next {
            next.bound_writes(bytes);
        }
    }

    /// Ties bodies to the guest's lifetime.
    pub(super) fn tie_to(&mut self, life: Life) {
        self.egress.tie_to(life);
    }

    /// The counter of buffered body bytes.
    pub(crate) fn kept(&mut self) -> Kept {
        let kept = self.egress.kept().clone();
        self.memory.kept.get_or_insert(kept).clone()
    }

    /// Logs a guest's message, one event per line, within the budgets of the request and the package.
    pub(crate) fn log(&mut self, level: LogLevel, context: &str, message: &str) {
        if !level.is_shown() {
            return;
        }
        let budget = Arc::clone(self.log_budget.get_or_insert_default());
        let (account, request_id) = (Arc::clone(&self.account), self.request_id.clone());
        GuestOutput::new(account, request_id, Stream::logged(level, context), budget).print(message);
    }

    /// The package's account.
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The request id.
    pub(crate) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// Access to the building blocks on behalf of the guest.
    pub(crate) fn dapr_door(&self) -> DaprDoor {
        self.egress.dapr_door()
    }

    #[inline]
    fn called(&mut self) {
        if self.memory.kept.is_none() {
            self.memory.kept = self.egress.kept_so_far().cloned();
        }
        self.memory.called();
    }

    /// Returns a number that identifies the package as long as it exists.
    pub(super) fn package(&self) -> usize {
        turns::package(&self.account)
    }
}

/// The maximum of random bytes per call: generating them takes a millisecond or two, during which the worker does
/// nothing else.
const RANDOM_BYTES: u64 = 1 << 20;

/// The WASI context of one guest, with the parts that are switched at each request if it may be reused. Everything that
/// is not configured here is closed: there are no arguments, no files but the package's `files`, and no network.
fn context(
    account: &Arc<Account>,
    request_id: &RequestId,
    budget: &Arc<RequestBudget>,
    script: Option<&Script>,
) -> (WasiCtx, Option<Box<Lasting>>) {
    let output = |stream| {
        let (account, budget) = (Arc::clone(account), Arc::clone(budget));
        GuestOutput::new(account, request_id.clone(), stream, budget)
    };
    let (stdout, stderr) = (output(Stream::Stdout), output(Stream::Stderr));
    let may_last = account.config.reuse > 1;
    let outputs = may_last.then(|| [stdout.clone(), stderr.clone()]);
    let mut wasi = WasiCtx::builder();
    if !account.config.grants.is_none() {
        wasi.env("APP_ID", account.name().as_str())
            .env("DAPR_HTTP_ENDPOINT", egress::DAPR_ENDPOINT);
    }
    wasi.envs(&account.config.env)
        .stdout(stdout)
        .stderr(stderr)
        .allow_tcp(false)
        .allow_udp(false)
        .max_random_size(RANDOM_BYTES);
    if let Some(script) = script {
        script.furnish(account, &mut wasi);
    }
    let mut wasi = wasi.build();
    let mut folders = None;
    if !account.config.files.is_empty() {
        let now = account.files.now(&account.config.files);
        wasi = with_files(wasi, &now);
        folders = Some(now);
    }
    let lasting = outputs.map(|outputs| Box::new(Lasting { outputs, folders }));
    (wasi, lasting)
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.called();
        let Self {
            wasi,
            account,
            request_id,
            memory,
            script,
            log_budget,
            lasting,
            ..
        } = self;
        WasiCtxView {
            ctx: wasi.get_or_insert_with(|| {
                let budget = log_budget.get_or_insert_default();
                let (context, parts) = context(account, request_id, budget, script.as_deref());
                *lasting = parts;
                context
            }),
            table: &mut memory.table,
        }
    }
}

impl IoView for HostState {
    fn table(&mut self) -> &mut ResourceTable {
        self.called();
        &mut self.memory.table
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.called();
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.memory.table,
            hooks: &mut self.egress,
        }
    }
}
