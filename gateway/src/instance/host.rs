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

/// The state of one store, owned by one request.
pub(crate) struct HostState {
    pub(super) memory: Memory,
    pub(super) answer: Answer,
    account: Arc<Account>,
    request_id: RequestId,
    /// Made when the guest first asks for something of it: most never do, and making it takes a dozen allocations.
    wasi: Option<WasiCtx>,
    /// What a program of CGI is started with.
    pub(super) script: Option<Box<Script>>,
    /// What the request may still put into the log; made with the first of it.
    log_budget: Option<Arc<RequestBudget>>,
    pub(super) open_files: OpenFiles,
    /// Files that the host has open for it; made with the first.
    pub(super) host_files: Option<Arc<AtomicUsize>>,
    http: WasiHttpCtx,
    /// A body was given to the guest to write.
    pub(super) has_written: bool,
    /// The guest has computed for so long that it had to let others go first.
    pub(super) has_given_way: bool,
    egress: Egress,
    /// The door to the handler behind a middleware.
    next: Option<Box<NextDoor>>,
    /// What its WASI context has of a request, where it may go on with another.
    lasting: Option<Box<Lasting>>,
}

/// The parts of a WASI context that are turned to each request of an instance that answers several.
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

    /// Takes on the state of another request, which has used nothing yet. The instance keeps what is its own: its
    /// memory, the resources that last, and its WASI context.
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

    /// Returns whether the answer has a body that came to no good end.
    pub(super) fn has_broken_body(&self) -> bool {
        let handed = self.answer.handed.as_ref();
        handed.is_some_and(Handed::is_broken)
    }

    /// Ends what belongs to the request that was answered, and returns whether nothing of it is left.
    pub(super) fn rest(&mut self) -> bool {
        for output in self.lasting.iter().flat_map(|lasting| &lasting.outputs) {
            output.end();
        }
        (self.answer, self.next) = (Answer::default(), None);
        self.memory.holds_nothing_of_a_request()
    }

    /// Returns whether the folders that the guest reads are the ones of now.
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

    /// Opens the door to the handler behind a middleware, for as long as it lives; its own request asks this host, and
    /// says this length.
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

    /// Says of a request for that handler where it goes, as far as the guest did not.
    pub(super) fn complete_next(&mut self, request: &Resource<p3::Request>) {
        if let (Some(next), Ok(request)) = (&mut self.next, self.memory.table.get_mut(request)) {
            next.complete(request);
            next.take_length(request);
        }
    }

    /// Returns whether a handler is behind it.
    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// Returns whether a length that the guest says its response has is that of an answer from behind, and not its
    /// body's.
    pub(super) fn is_anothers(&self, length: &HeaderValue, body: &WasiBody) -> bool {
        let next = self.next.as_ref();
        next.is_some_and(|next| next.is_anothers(length, body))
    }

    /// What sends requests to that handler.
    pub(super) fn next_http(&mut self) -> WasiHttpCtxView<'_> {
        self.called();
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.memory.table,
            hooks: match &mut self.next {
                Some(next) => &mut **next,
                // No component that imports it is served without one.
                None => &mut self.egress,
            },
        }
    }

    /// Bounds what the guest may write at once of a body.
    pub(super) fn bound_writes(&mut self, bytes: usize) {
        self.egress.bound_writes(bytes);
        if let Some(next) = &mut self.next {
            next.bound_writes(bytes);
        }
    }

    /// Lets no body go on without the guest, whose life this is.
    pub(super) fn tie_to(&mut self, life: Life) {
        self.egress.tie_to(life);
    }

    /// The count of what is kept of bodies.
    pub(crate) fn kept(&mut self) -> Kept {
        let kept = self.egress.kept().clone();
        self.memory.kept.get_or_insert(kept).clone()
    }

    /// Puts what the guest says into the log, a line an event, within what its request and its package may put there.
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

    /// The request's name in the log.
    pub(crate) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The way to the building blocks for what is done for the guest.
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

    /// Returns a number that is the package's alone as long as it is there.
    pub(super) fn package(&self) -> usize {
        turns::package(&self.account)
    }
}

/// The most random bytes of one call: its worker makes them in a millisecond or two, and nobody else has a turn
/// meanwhile.
const RANDOM_BYTES: u64 = 1 << 20;

/// The WASI context of one guest, with the parts of it that are turned to each of its requests, if it may have several.
/// What is closed is closed by not being named: there are no arguments, no files but the package's `files`, and no
/// addresses to reach.
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
