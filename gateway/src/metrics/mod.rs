//! All metrics; the admin listener exposes them.
//!
//! Label values come from the configuration and from fixed sets only (package, route pattern, status, reason,
//! operation, result), so the number of series is bounded. On the request path handles are found without a lock: those
//! of a package and of a route are created on first use, and so is one for each status, reason and result (`few.rs`).
//! Only rare values, such as a ninth status of one route, and the results of deliveries are looked up each time.

mod families;
mod family;
mod few;
mod maker;
mod package;
mod process;
mod route;

use std::collections::HashMap;

use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder, core::Collector,
};

use crate::admission::Permits;
use families::Families;
use few::Few;
use maker::{DURATION_BUCKETS, Maker};

pub(crate) use family::{Family, description};
pub(crate) use package::{InstanceEnd, PackageMetrics};
pub(crate) use route::RouteMetrics;

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
    admissions: Mutex<HashMap<String, ([IntGauge; 2], Permits)>>,
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
        let packages = Families::new(&make)?;
        Ok(Self {
            requests: make.counters(
                "wasmgate_requests_total",
                "Requests by package, route pattern and status",
                &["package", "route", "status"],
            )?,
            duration: make.histograms(
                "wasmgate_request_duration_seconds",
                "Time from a request's head to the end of its response",
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
                "Connections and HTTP/2 streams that were cut because of their client, by reason",
                &["reason"],
            )?,
            handshakes: make.counters(
                "wasmgate_tls_handshakes_total",
                "TLS handshakes of clients, by result",
                &["result"],
            )?,
            handshakes_under_way: make.gauge(
                "wasmgate_tls_handshakes_in_progress",
                "TLS handshakes in progress",
            )?,
            handshake_time: make.histogram(
                "wasmgate_tls_handshake_duration_seconds",
                "Time from a client's first byte to the end of its TLS handshake",
                &DURATION_BUCKETS,
            )?,
            unrouted: Few::new(),
            compilations: make.counter("wasmgate_compilations_total", "Components compiled")?,
            compile_failures: make.counters(
                "wasmgate_compilation_failures_total",
                "Failed compilations, by reason",
                &["reason"],
            )?,
            compilation: make.histogram(
                "wasmgate_compilation_duration_seconds",
                "Time to compile a component and store the code",
                &COMPILATION_BUCKETS,
            )?,
            cache_hits: make.counter(
                "wasmgate_cache_hits_total",
                "Components whose compiled code was found on disk",
            )?,
            load: make.histogram(
                "wasmgate_package_load_duration_seconds",
                "Time to load a package's compiled code",
                &LOAD_BUCKETS,
            )?,
            evictions: make.counter(
                "wasmgate_package_evictions_total",
                "Packages that were evicted from memory",
            )?,
            reloads: make.counters("wasmgate_reloads_total", "Reloads, by result", &["result"])?,
            pulls: make.counters(
                "wasmgate_registry_lookups_total",
                "Lookups of references in registries, by result",
                &["result"],
            )?,
            pulled_code: make.counters(
                "wasmgate_registry_code_total",
                "Lookups of compiled code in registries, by result",
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
