//! Counters and timers of everything: a module that the others use, and that the admin listener shows.
//!
//! Labels come from the configuration and from short lists of words alone (package, route pattern, status, reason,
//! operation, result), so their number is bounded. A request finds its handles without a lock: those of its package and
//! of its route are made when they are first asked for, and one more for each status, reason and result that comes up
//! (`few.rs`). Only a rare one, such as a ninth status of one route, is looked up each time, and so is what becomes of
//! a delivery.

mod family;
mod few;
mod package;
mod process;
mod route;

use std::collections::HashMap;

use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

use crate::admission::Permits;
use few::Few;
use package::Families;

pub(crate) use family::{Family, description};
pub(crate) use package::{InstanceEnd, PackageMetrics};
pub(crate) use route::RouteMetrics;

/// Upper bounds in seconds, from an instance that answers at once to one that meets the default time-out: from 1 ms to
/// 30 s no bucket is wider than a factor of 3.
const DURATION_BUCKETS: [f64; 18] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0,
];

/// Instantiation takes microseconds when warm and a page fault or two when not.
const INSTANTIATION_BUCKETS: [f64; 9] = [
    0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.01, 0.1,
];

/// Compiling takes from a fraction of a second for a small Rust component to a minute for an interpreter.
const COMPILATION_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Loading maps a file.
const LOAD_BUCKETS: [f64; 9] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.1, 1.0,
];

/// Reasons for which a request is refused before it has a route.
const UNROUTED_REASONS: usize = 8;

/// Everything the gateway exposes on `/metrics`.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    in_flight: IntGaugeVec,
    waiting: IntGaugeVec,
    packages: Families,
    /// Connections and streams ended because of their client, by reason.
    pub cut: IntCounterVec,
    handshakes: IntCounterVec,
    /// TLS handshakes that have begun and not ended.
    pub handshakes_under_way: IntGauge,
    /// Seconds from a client's first byte to TLS.
    pub handshake_time: Histogram,
    unrouted: Few<&'static str, UNROUTED_REASONS>,
    /// Components compiled because no usable compiled code was on disk.
    pub compilations: IntCounter,
    compile_failures: IntCounterVec,
    /// Seconds that compiling a component took.
    pub compilation: Histogram,
    /// Components whose compiled code was found on disk.
    pub cache_hits: IntCounter,
    /// Seconds that loading compiled code took.
    pub load: Histogram,
    /// Packages unloaded to make room for others.
    pub evictions: IntCounter,
    reloads: IntCounterVec,
    pulls: IntCounterVec,
    pulled_code: IntCounterVec,
    /// Counted where instances are admitted, and copied into the gauges when they are looked at.
    admissions: Mutex<HashMap<String, ([prometheus::IntGauge; 2], Permits)>>,
}

impl Metrics {
    /// A registry of its own, so that two gateways in one process do not meet.
    ///
    /// # Errors
    /// When two metrics have one name: a mistake in this file.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let make = Maker(&registry);
        registry.register(Box::new(process::Process::new()?))?;
        let build = make.gauges(
            "wasmgate_build_info",
            "1, with the version that runs as a label",
            &["version", "architecture"],
        )?;
        build
            .with_label_values(&[env!("CARGO_PKG_VERSION"), std::env::consts::ARCH])
            .set(1);
        let packages = make.packages()?;
        Ok(Self {
            requests: make.counters(
                "wasmgate_requests_total",
                "Requests by package, route pattern and status",
                &["package", "route", "status"],
            )?,
            duration: make.histograms(
                "wasmgate_request_duration_seconds",
                "From a request's head to the end of its response",
                &["package", "route"],
                &DURATION_BUCKETS,
            )?,
            in_flight: make.gauges(
                "wasmgate_instances_in_flight",
                "Instances alive",
                &["package"],
            )?,
            waiting: make.gauges(
                "wasmgate_queue_waiting",
                "Requests that wait for an instance of their package",
                &["package"],
            )?,
            packages,
            cut: make.counters(
                "wasmgate_clients_cut_total",
                "Connections and HTTP/2 streams ended because their client read nothing or sent what serves no request",
                &["reason"],
            )?,
            handshakes: make.counters(
                "wasmgate_tls_handshakes_total",
                "TLS handshakes of clients by what became of them",
                &["result"],
            )?,
            handshakes_under_way: make.gauge(
                "wasmgate_tls_handshakes_in_progress",
                "TLS handshakes that have begun and not ended",
            )?,
            handshake_time: make.histogram(
                "wasmgate_tls_handshake_duration_seconds",
                "From a client's first byte to the end of its TLS handshake",
                &DURATION_BUCKETS,
            )?,
            unrouted: Few::new(),
            compilations: make.counter("wasmgate_compilations_total", "Components compiled")?,
            compile_failures: make.counters(
                "wasmgate_compilation_failures_total",
                "Components that were not compiled, by what was the matter",
                &["reason"],
            )?,
            compilation: make.histogram(
                "wasmgate_compilation_duration_seconds",
                "Compiling a component and keeping the code",
                &COMPILATION_BUCKETS,
            )?,
            cache_hits: make.counter(
                "wasmgate_cache_hits_total",
                "Components found compiled on disk",
            )?,
            load: make.histogram(
                "wasmgate_package_load_duration_seconds",
                "Loading a package's compiled code when it is asked for",
                &LOAD_BUCKETS,
            )?,
            evictions: make.counter(
                "wasmgate_package_evictions_total",
                "Packages unloaded to make room for others",
            )?,
            reloads: make.counters(
                "wasmgate_reloads_total",
                "Times that a running gateway was to serve its configuration anew, by result",
                &["result"],
            )?,
            pulls: make.counters(
                "wasmgate_registry_lookups_total",
                "References that were looked up in a registry, by what was found",
                &["result"],
            )?,
            pulled_code: make.counters(
                "wasmgate_registry_code_total",
                "Components whose compiled code was sought in their registry, by what became of it",
                &["result"],
            )?,
            admissions: Mutex::default(),
            registry,
        })
    }

    /// The handles of the package `name`, whose instances `admission` counts.
    pub(crate) fn package(&self, name: &str, admission: &Permits) -> PackageMetrics {
        let gauges = [&self.in_flight, &self.waiting].map(|gauges| gauges.with_label_values(&[name]));
        self.admissions
            .lock()
            .insert(name.to_owned(), (gauges, admission.clone()));
        PackageMetrics::new(&self.packages, name)
    }

    /// Counts a request that was refused for `reason` before it had a route.
    pub(crate) fn unrouted(&self, reason: &'static str) {
        let refusals = &self.packages.refusals;
        self.unrouted
            .count(reason, || refusals.with_label_values(&["", reason]));
    }

    /// Counts a client's TLS handshake that ended so.
    pub(crate) fn handshake(&self, result: &str) {
        self.handshakes.with_label_values(&[result]).inc();
    }

    /// Counts a component that was not compiled.
    pub(crate) fn not_compiled(&self, reason: &str) {
        self.compile_failures.with_label_values(&[reason]).inc();
    }

    /// Counts a reload that ended so.
    pub(crate) fn reloaded(&self, result: &str) {
        self.reloads.with_label_values(&[result]).inc();
    }

    /// Counts a reference that was looked up in a registry.
    pub(crate) fn pulled(&self, result: &str) {
        self.pulls.with_label_values(&[result]).inc();
    }

    /// Counts a component whose compiled code was sought in its registry.
    pub(crate) fn pulled_code(&self, result: &str) {
        self.pulled_code.with_label_values(&[result]).inc();
    }

    /// Adds what another part of the gateway counts.
    ///
    /// # Errors
    /// When one of its names is taken: a mistake in this program.
    pub(crate) fn register(&self, collector: impl Collector + 'static) -> prometheus::Result<()> {
        self.registry.register(Box::new(collector))
    }

    /// The handles of the route `pattern` of the package `name`.
    pub(crate) fn route(&self, name: &str, pattern: &str) -> RouteMetrics {
        let duration = self.duration.with_label_values(&[name, pattern]);
        RouteMetrics::new(self.requests.clone(), duration, name, pattern)
    }

    /// Everything, with `more` that was taken just now, in Prometheus' text format.
    pub(crate) fn render(&self, more: impl IntoIterator<Item = Family>) -> String {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for ([in_flight, waiting], admission) in self.admissions.lock().values() {
            in_flight.set(number(admission.taken()));
            waiting.set(number(admission.waiting()));
        }
        let mut families = self.registry.gather();
        families.extend(more.into_iter().filter_map(Family::finish));
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_default()
    }
}

/// Makes metrics and registers them.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(vec.clone()))?;
        Ok(vec)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::new(name, help)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let vec = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(vec.clone()))?;
        Ok(vec)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::new(name, help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let vec = HistogramVec::new(opts, labels)?;
        self.0.register(Box::new(vec.clone()))?;
        Ok(vec)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let histogram = Histogram::with_opts(opts)?;
        self.0.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }

    fn packages(&self) -> prometheus::Result<Families> {
        Ok(Families {
            instantiation: self.histograms(
                "wasmgate_instantiation_seconds",
                "Making an instance",
                &["package"],
                &INSTANTIATION_BUCKETS,
            )?,
            traps: self.counters(
                "wasmgate_guest_traps_total",
                "Guests that trapped",
                &["package"],
            )?,
            timeouts: self.counters(
                "wasmgate_timeouts_total",
                "Guests that met their deadline",
                &["package"],
            )?,
            refusals: self.counters(
                "wasmgate_refusals_total",
                "Requests the gateway answered without the package, and requests to outside that it refused a package",
                &["package", "reason"],
            )?,
            queued: self.counters(
                "wasmgate_queued_requests_total",
                "Requests that found all instances of their package busy, by what became of them",
                &["package", "result"],
            )?,
            queue_wait: self.histograms(
                "wasmgate_queue_wait_seconds",
                "How long requests waited for an instance of their package",
                &["package"],
                &DURATION_BUCKETS,
            )?,
            outbound: self.counters(
                "wasmgate_outbound_requests_total",
                "Requests of packages to outside, by class of status or by what went wrong",
                &["package", "result"],
            )?,
            outbound_duration: self.histograms(
                "wasmgate_outbound_request_duration_seconds",
                "From a package's request to the head of the answer from outside, or to its failure",
                &["package"],
                &DURATION_BUCKETS,
            )?,
            block_calls: self.counters(
                "wasmgate_block_calls_total",
                "Calls of packages to the building blocks, by class of status",
                &["package", "block", "operation", "result"],
            )?,
            block_duration: self.histograms(
                "wasmgate_block_call_duration_seconds",
                "From a package's call of a building block to the head of its answer",
                &["package", "block", "operation"],
                &DURATION_BUCKETS,
            )?,
            deliveries: self.counters(
                "wasmgate_deliveries_total",
                "Events, jobs and bindings handed to packages, by what became of them",
                &["package", "kind", "result"],
            )?,
            output_dropped: self.counters(
                "wasmgate_guest_output_dropped_lines_total",
                "Lines that guests printed beyond what they may, and that are not in the log",
                &["package"],
            )?,
            reused: self.counters(
                "wasmgate_instances_reused_total",
                "Requests answered by an instance that had answered others (`reuse`)",
                &["package"],
            )?,
            idle: self.gauges(
                "wasmgate_instances_idle",
                "Instances that have answered and wait for another request (`reuse`)",
                &["package"],
            )?,
            ended: self.counters(
                "wasmgate_reused_instances_ended_total",
                "Instances of packages with `reuse` that answer no more, by the reason",
                &["package", "reason"],
            )?,
        })
    }
}
