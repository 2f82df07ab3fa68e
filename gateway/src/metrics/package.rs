//! Metrics of one package, and of the calls that its instances make.

use std::{sync::OnceLock, time::Instant};

use http::StatusCode;
use prometheus::{Histogram, IntCounter, IntGauge};
use wasmgate_dapr::{DeliveryKind, DeliveryResult, OperationName};

use super::{families::Families, few::Few};

/// Reasons for which one package usually refuses, results its outbound requests usually have, and results of one
/// operation of the building blocks.
const USUAL_REASONS: usize = 8;
const USUAL_RESULTS: usize = 6;

/// A call that nobody waited for to the end: the client left, or the deadline passed.
const CANCELLED: &str = "cancelled";

/// The handles of one package.
#[derive(Debug)]
pub(crate) struct PackageMetrics {
    /// Seconds to make an instance.
    pub instantiation: Histogram,
    /// Guests that trapped.
    pub traps: IntCounter,
    /// Guests that met their deadline.
    pub timeouts: IntCounter,
    /// Lines that guests printed and that are not in the log.
    pub output_dropped: IntCounter,
    name: String,
    families: Families,
    refusals: Few<&'static str, USUAL_REASONS>,
    outbound: OnceLock<Box<CallMetrics>>,
    /// By the operation's index.
    blocks: [OnceLock<Box<CallMetrics>>; OperationName::COUNT],
    reuse: OnceLock<Box<ReuseMetrics>>,
}

/// The handles of a package whose instances may answer several requests.
#[derive(Debug)]
pub(crate) struct ReuseMetrics {
    /// Requests answered by an instance that had answered before.
    pub reused: IntCounter,
    /// Instances that wait for a request.
    pub idle: IntGauge,
    ended: [IntCounter; InstanceEnd::ALL.len()],
}

/// Why an instance that may answer several requests answers no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstanceEnd {
    /// It trapped, was late, lost its client, or did not answer.
    Failed,
    /// It left tasks, streams or resources of its request behind.
    Left,
    /// It was refused memory.
    Memory,
    /// It has answered as many as it may.
    Used,
    /// Nobody asked for it.
    Idle,
    /// Its memory or its slots were needed.
    Needed,
    /// Its package's code, configuration or folders are others now, or the gateway ends.
    Replaced,
}

impl InstanceEnd {
    const ALL: [Self; 7] = [
        Self::Failed,
        Self::Left,
        Self::Memory,
        Self::Used,
        Self::Idle,
        Self::Needed,
        Self::Replaced,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Left => "left-something",
            Self::Memory => "memory",
            Self::Used => "used-up",
            Self::Idle => "idle",
            Self::Needed => "needed",
            Self::Replaced => "replaced",
        }
    }
}

impl ReuseMetrics {
    /// Counts an instance that answers no more.
    pub(crate) fn ended(&self, end: InstanceEnd) {
        let at = InstanceEnd::ALL.iter().position(|known| *known == end);
        if let Some(counter) = at.and_then(|at| self.ended.get(at)) {
            counter.inc();
        }
    }
}

/// The handles of one kind of call.
#[derive(Debug)]
struct CallMetrics {
    results: Few<&'static str, USUAL_RESULTS>,
    duration: Histogram,
}

impl PackageMetrics {
    pub(super) fn new(families: &Families, name: &str) -> Self {
        Self {
            instantiation: families.instantiation.with_label_values(&[name]),
            traps: families.traps.with_label_values(&[name]),
            timeouts: families.timeouts.with_label_values(&[name]),
            output_dropped: families.output_dropped.with_label_values(&[name]),
            name: name.to_owned(),
            families: families.clone(),
            refusals: Few::new(),
            outbound: OnceLock::new(),
            blocks: [const { OnceLock::new() }; OperationName::COUNT],
            reuse: OnceLock::new(),
        }
    }

    /// The handles for instances that may answer several requests.
    pub(crate) fn reuse(&self) -> &ReuseMetrics {
        self.reuse.get_or_init(|| {
            let name = self.name.as_str();
            let ended = |end: InstanceEnd| self.families.ended.with_label_values(&[name, end.name()]);
            Box::new(ReuseMetrics {
                reused: self.families.reused.with_label_values(&[name]),
                idle: self.families.idle.with_label_values(&[name]),
                ended: InstanceEnd::ALL.map(ended),
            })
        })
    }

    /// Counts a request that the gateway refused before an instance was made, or a call that an instance may not make.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.count(reason, || {
            let labels = [self.name.as_str(), reason];
            self.families.refusals.with_label_values(&labels)
        });
    }

    /// Counts what became of a request that waited for an instance, and observes for how many seconds it did.
    pub(crate) fn queued(&self, result: &'static str, seconds: f64) {
        let labels = [self.name.as_str(), result];
        self.families.queued.with_label_values(&labels).inc();
        let waits = self.families.queue_wait.with_label_values(&[&self.name]);
        waits.observe(seconds);
    }

    /// Counts what became of a delivery.
    pub(crate) fn delivered(&self, kind: DeliveryKind, result: DeliveryResult) {
        let labels = [self.name.as_str(), kind.name(), result.name()];
        self.families.deliveries.with_label_values(&labels).inc();
    }

    /// Shows deliveries of every kind and result with 0, for a package that gets deliveries.
    pub(crate) fn expect_deliveries(&self) {
        for kind in DeliveryKind::ALL {
            for result in DeliveryResult::ALL {
                let labels = [self.name.as_str(), kind.name(), result.name()];
                self.families.deliveries.with_label_values(&labels);
            }
        }
    }

    /// Starts to time an outbound request.
    pub(crate) fn outbound(&self) -> CallTimer<'_> {
        let metrics = self.outbound.get_or_init(|| {
            Box::new(CallMetrics {
                results: Few::new(),
                duration: self
                    .families
                    .outbound_duration
                    .with_label_values(&[&self.name]),
            })
        });
        CallTimer::start(self, None, metrics)
    }

    /// Starts to time a call of a building block.
    pub(crate) fn block_call(&self, operation: OperationName) -> Option<CallTimer<'_>> {
        let metrics = self.blocks.get(operation.index())?.get_or_init(|| {
            let labels = [&*self.name, operation.block(), operation.name()];
            Box::new(CallMetrics {
                results: Few::new(),
                duration: self.families.block_duration.with_label_values(&labels),
            })
        });
        Some(CallTimer::start(self, Some(operation), metrics))
    }

    fn call_counter(&self, operation: Option<OperationName>, result: &str) -> IntCounter {
        match operation {
            None => self
                .families
                .outbound
                .with_label_values(&[self.name.as_str(), result]),
            Some(operation) => {
                let labels = [&*self.name, operation.block(), operation.name(), result];
                self.families.block_calls.with_label_values(&labels)
            }
        }
    }
}

/// One call under way: counted and timed when it has its answer's head, or when it is given up.
#[derive(Debug)]
pub(crate) struct CallTimer<'a> {
    package: &'a PackageMetrics,
    operation: Option<OperationName>,
    metrics: &'a CallMetrics,
    started: Instant,
    result: &'static str,
}

impl<'a> CallTimer<'a> {
    fn start(package: &'a PackageMetrics, operation: Option<OperationName>, metrics: &'a CallMetrics) -> Self {
        Self {
            package,
            operation,
            metrics,
            started: Instant::now(),
            result: CANCELLED,
        }
    }

    /// The call has an answer.
    pub(crate) fn answered(self, status: StatusCode) {
        self.ended(match status.as_u16() {
            ..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        });
    }

    /// The call has ended with a result that is one of a few words.
    pub(crate) fn ended(mut self, result: &'static str) {
        self.result = result;
    }
}

impl Drop for CallTimer<'_> {
    fn drop(&mut self) {
        let Self {
            package,
            operation,
            metrics,
            started,
            result,
        } = self;
        metrics.duration.observe(started.elapsed().as_secs_f64());
        metrics
            .results
            .count(*result, || package.call_counter(*operation, result));
    }
}
