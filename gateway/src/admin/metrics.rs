//! What the gateway counts. Labels come from the configuration alone (package, route pattern, reason), so their
//! number is bounded by it; handles are looked up when a package is registered, never per request.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use wasmgate_dapr::QueueDepth;

use crate::admission::Admission;

/// Upper bounds in seconds, from an instance that answers at once to one that meets the default time-out.
const DURATION_BUCKETS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0,
    30.0,
];

/// Instantiation takes microseconds when warm and a page fault or two when not.
const INSTANTIATION_BUCKETS: [f64; 9] = [
    0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.01, 0.1,
];

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Everything the gateway exposes on `/metrics`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    in_flight: IntGaugeVec,
    instantiation: HistogramVec,
    traps: IntCounterVec,
    timeouts: IntCounterVec,
    refusals: IntCounterVec,
    queued: IntGaugeVec,
    /// Components compiled because no usable compiled code was on disk.
    pub compilations: IntCounter,
    /// Components whose compiled code was found on disk.
    pub cache_hits: IntCounter,
    /// Counted where instances are admitted, and copied into the gauges when they are looked at.
    admissions: Mutex<Vec<(IntGauge, Arc<Admission>)>>,
}

/// The handles of one package.
#[derive(Debug, Clone)]
pub struct PackageMetrics {
    /// Seconds to make an instance.
    pub instantiation: Histogram,
    /// Guests that trapped.
    pub traps: IntCounter,
    /// Guests that met their deadline.
    pub timeouts: IntCounter,
    name: String,
    refusals: IntCounterVec,
}

impl PackageMetrics {
    /// Counts a request that the gateway refused before an instance was made.
    pub fn refused(&self, reason: &str) {
        self.refusals
            .with_label_values(&[self.name.as_str(), reason])
            .inc();
    }
}

/// The handles of one route.
#[derive(Debug, Clone)]
pub struct RouteMetrics {
    by_class: [IntCounter; STATUS_CLASSES.len()],
    /// Seconds from the request's head to the end of the response.
    pub duration: Histogram,
}

impl RouteMetrics {
    /// Counts one response.
    pub fn count(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.by_class.get(class) {
            counter.inc();
        }
    }
}

impl Metrics {
    /// A registry of its own, so that two gateways in one process do not meet.
    ///
    /// # Errors
    /// When two metrics have one name: a mistake in this file.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone())).map(|()| vec)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry
                .register(Box::new(counter.clone()))
                .map(|()| counter)
        };
        let histograms = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let vec = HistogramVec::new(opts, labels)?;
            registry.register(Box::new(vec.clone())).map(|()| vec)
        };
        let in_flight = IntGaugeVec::new(
            Opts::new("wasmgate_instances_in_flight", "Instances alive"),
            &["package"],
        )?;
        registry.register(Box::new(in_flight.clone()))?;
        let queued = IntGaugeVec::new(
            Opts::new(
                "wasmgate_dapr_queued_events",
                "Events of the embedded pub/sub that wait for their subscriber, or are parked when its retries are used up",
            ),
            &["app_id", "pubsub", "topic", "state"],
        )?;
        registry.register(Box::new(queued.clone()))?;
        let refusals = counters(
            "wasmgate_refusals_total",
            "Requests the gateway answered without the package, by reason",
            &["package", "reason"],
        )?;
        Ok(Self {
            requests: counters(
                "wasmgate_requests_total",
                "Requests by package, route pattern and class of status",
                &["package", "route", "status"],
            )?,
            duration: histograms(
                "wasmgate_request_duration_seconds",
                "From a request's head to the end of its response",
                &["package", "route"],
                &DURATION_BUCKETS,
            )?,
            instantiation: histograms(
                "wasmgate_instantiation_seconds",
                "Making an instance",
                &["package"],
                &INSTANTIATION_BUCKETS,
            )?,
            traps: counters(
                "wasmgate_guest_traps_total",
                "Guests that trapped",
                &["package"],
            )?,
            timeouts: counters(
                "wasmgate_timeouts_total",
                "Guests that met their deadline",
                &["package"],
            )?,
            compilations: counter("wasmgate_compilations_total", "Components compiled")?,
            cache_hits: counter(
                "wasmgate_cache_hits_total",
                "Components found compiled on disk",
            )?,
            admissions: Mutex::default(),
            refusals,
            queued,
            in_flight,
            registry,
        })
    }

    /// The handles of the package `name`, whose instances `admission` counts.
    pub fn package(&self, name: &str, admission: &Arc<Admission>) -> PackageMetrics {
        let gauge = self.in_flight.with_label_values(&[name]);
        self.admissions.lock().push((gauge, Arc::clone(admission)));
        PackageMetrics {
            instantiation: self.instantiation.with_label_values(&[name]),
            traps: self.traps.with_label_values(&[name]),
            timeouts: self.timeouts.with_label_values(&[name]),
            name: name.to_owned(),
            refusals: self.refusals.clone(),
        }
    }

    /// Counts a request that was refused for `reason` before it had a route.
    pub fn unrouted(&self, reason: &str) {
        self.refusals.with_label_values(&["", reason]).inc();
    }

    /// Adds what another part of the gateway counts.
    ///
    /// # Errors
    /// When one of its names is taken: a mistake in this program.
    pub fn register(&self, collector: impl Collector + 'static) -> prometheus::Result<()> {
        self.registry.register(Box::new(collector))
    }

    /// The handles of the route `pattern` of the package `name`.
    pub fn route(&self, name: &str, pattern: &str) -> RouteMetrics {
        RouteMetrics {
            by_class: STATUS_CLASSES
                .map(|class| self.requests.with_label_values(&[name, pattern, class])),
            duration: self.duration.with_label_values(&[name, pattern]),
        }
    }

    /// Shows these queues, and no others: subscriptions alone make queues, so their number is bounded.
    pub fn show_queues(&self, queues: &[QueueDepth]) {
        self.queued.reset();
        for queue in queues {
            for (state, events) in [("waiting", queue.waiting), ("parked", queue.parked)] {
                let labels = [&*queue.app_id, &*queue.pubsub, &*queue.topic, state];
                let gauge = self.queued.with_label_values(&labels);
                gauge.set(i64::try_from(events).unwrap_or(i64::MAX));
            }
        }
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> String {
        for (gauge, admission) in self.admissions.lock().iter() {
            gauge.set(i64::try_from(admission.taken()).unwrap_or(i64::MAX));
        }
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}
