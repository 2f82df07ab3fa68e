//! The metrics that have a package as a label.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::maker::{DURATION_BUCKETS, Maker};

/// Instantiation takes microseconds when warm and a page fault or two when not.
const INSTANTIATION_BUCKETS: [f64; 9] = [
    0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.01, 0.1,
];

/// They have a series for each package.
#[derive(Debug, Clone)]
pub(super) struct Families {
    pub(super) instantiation: HistogramVec,
    pub(super) traps: IntCounterVec,
    pub(super) timeouts: IntCounterVec,
    pub(super) refusals: IntCounterVec,
    pub(super) queued: IntCounterVec,
    pub(super) queue_wait: HistogramVec,
    pub(super) outbound: IntCounterVec,
    pub(super) outbound_duration: HistogramVec,
    pub(super) block_calls: IntCounterVec,
    pub(super) block_duration: HistogramVec,
    pub(super) deliveries: IntCounterVec,
    pub(super) output_dropped: IntCounterVec,
    pub(super) reused: IntCounterVec,
    pub(super) idle: IntGaugeVec,
    pub(super) ended: IntCounterVec,
}

impl Families {
    pub(super) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            instantiation: make.histograms(
                "wasmgate_instantiation_seconds",
                "Time to instantiate a component",
                &["package"],
                &INSTANTIATION_BUCKETS,
            )?,
            traps: make.counters(
                "wasmgate_guest_traps_total",
                "Guests that trapped",
                &["package"],
            )?,
            timeouts: make.counters(
                "wasmgate_timeouts_total",
                "Guests that exceeded their deadline",
                &["package"],
            )?,
            refusals: make.counters(
                "wasmgate_refusals_total",
                "Requests that the gateway answered instead of the package, and outgoing requests that it refused",
                &["package", "reason"],
            )?,
            queued: make.counters(
                "wasmgate_queued_requests_total",
                "Requests that found all instances of their package busy, by result",
                &["package", "result"],
            )?,
            queue_wait: make.histograms(
                "wasmgate_queue_wait_seconds",
                "Time that requests waited for an instance of their package",
                &["package"],
                &DURATION_BUCKETS,
            )?,
            outbound: make.counters(
                "wasmgate_outbound_requests_total",
                "Outgoing requests of packages, by class of status or by error",
                &["package", "result"],
            )?,
            outbound_duration: make.histograms(
                "wasmgate_outbound_request_duration_seconds",
                "Time from a package's outgoing request to the response's head or a failure",
                &["package"],
                &DURATION_BUCKETS,
            )?,
            block_calls: make.counters(
                "wasmgate_block_calls_total",
                "Calls of packages to the building blocks, by class of status",
                &["package", "block", "operation", "result"],
            )?,
            block_duration: make.histograms(
                "wasmgate_block_call_duration_seconds",
                "Time from a package's call of a building block to the response's head",
                &["package", "block", "operation"],
                &DURATION_BUCKETS,
            )?,
            deliveries: make.counters(
                "wasmgate_deliveries_total",
                "Events, jobs and bindings delivered to packages, by result",
                &["package", "kind", "result"],
            )?,
            output_dropped: make.counters(
                "wasmgate_guest_output_dropped_lines_total",
                "Lines that guests printed beyond their budget and that were not logged",
                &["package"],
            )?,
            reused: make.counters(
                "wasmgate_instances_reused_total",
                "Requests answered by a reused instance (`reuse`)",
                &["package"],
            )?,
            idle: make.gauges(
                "wasmgate_instances_idle",
                "Idle instances that wait for another request (`reuse`)",
                &["package"],
            )?,
            ended: make.counters(
                "wasmgate_reused_instances_ended_total",
                "Instances of packages with `reuse` that have ended, by reason",
                &["package", "reason"],
            )?,
        })
    }
}
