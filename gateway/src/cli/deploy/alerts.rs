//! Alert rules. One test queries a running gateway for every metric and label value that is named here, and another has
//! promtool evaluate each alert.

/// One alert.
pub(super) struct Alert {
    /// Its name, which begins with Wasmgate.
    pub(super) name: &'static str,
    /// `critical` where somebody is not answered, otherwise `warning`.
    pub(super) severity: &'static str,
    /// How long it must hold.
    pub(super) lasts: &'static str,
    /// PromQL, in which JOB stands for the label of the project's own metrics.
    pub(super) expr: &'static str,
    /// What is wrong, with the labels of the expression.
    pub(super) summary: &'static str,
    /// What to do.
    pub(super) description: &'static str,
}

/// All of them, those that wake somebody first.
pub(super) const ALERTS: [Alert; 14] = [
    Alert {
        name: "WasmgateDown",
        severity: "critical",
        lasts: "2m",
        expr: "absent(up{JOB} == 1)",
        summary: "No pod answers for its metrics",
        description: "Nobody is served, or the NetworkPolicy keeps Prometheus out: see kubectl get pods, and --monitoring.",
    },
    Alert {
        name: "WasmgateErrors",
        severity: "critical",
        lasts: "5m",
        expr: "sum by (namespace, package) (rate(wasmgate_requests_total{JOB,status=~\"5..\"}[5m])) \
               / sum by (namespace, package) (rate(wasmgate_requests_total{JOB}[5m])) > 0.05",
        summary: "Package {{ $labels.package }} fails {{ $value | humanizePercentage }} of its requests",
        description: "The log has each by its request id; wasmgate_guest_traps_total, wasmgate_timeouts_total and \
                      wasmgate_refusals_total say of which kind they are.",
    },
    Alert {
        name: "WasmgatePackageUnavailable",
        severity: "critical",
        lasts: "1m",
        expr: "wasmgate_packages{JOB,state=\"unavailable\"} > 0",
        summary: "{{ $value }} packages of {{ $labels.pod }} cannot be served",
        description: "They were not pulled, do not compile, or are no components that this version takes: /readyz and \
                      the log say which and why.",
    },
    Alert {
        name: "WasmgateSidecarNotReady",
        severity: "critical",
        lasts: "1m",
        expr: "wasmgate_sidecar_ready{JOB} == 0",
        summary: "The Dapr sidecar of {{ $labels.pod }} does not answer",
        description: "Calls of building blocks are refused with 503: see kubectl logs -c daprd.",
    },
    Alert {
        name: "WasmgateNotReady",
        severity: "warning",
        lasts: "5m",
        expr: "wasmgate_ready{JOB} == 0",
        summary: "{{ $labels.pod }} is not ready",
        description: "Its /readyz says why.",
    },
    Alert {
        name: "WasmgateRefuses",
        severity: "warning",
        lasts: "5m",
        expr: "sum by (namespace, package, reason) \
               (rate(wasmgate_refusals_total{JOB,reason=~\"overloaded|queue-full|queue-timeout\"}[5m])) > 0",
        summary: "Requests for package {{ $labels.package }} are refused with 503: {{ $labels.reason }}",
        description: "More come than its limits.concurrency, its queue or the memory of the pods allows: more pods, more \
                      memory, or other limits.",
    },
    Alert {
        name: "WasmgateMemoryShort",
        severity: "warning",
        lasts: "5m",
        expr: "wasmgate_memory_bytes{JOB,state=\"used\"} / ignoring (state) \
               wasmgate_memory_bytes{JOB,state=\"limit\"} > 0.9",
        summary: "{{ $labels.pod }} uses {{ $value | humanizePercentage }} of the memory that it may use",
        description: "Beyond it, new requests are refused with 503: more memory for the pods, or lower limits.memory.",
    },
    Alert {
        name: "WasmgateSlotsExhausted",
        severity: "warning",
        lasts: "1m",
        expr: "increase(wasmgate_pool_refusals_total{JOB,reason=~\"memories-exhausted|stacks-exhausted|kernel\"}[5m]) > 0",
        summary: "{{ $labels.pod }} has no place for more instances: {{ $labels.reason }}",
        description: "Requests are refused with 503 for as long: more pods, or other limits.",
    },
    Alert {
        name: "WasmgateReloadFailed",
        severity: "warning",
        lasts: "1m",
        expr: "wasmgate_last_reload_successful{JOB} == 0",
        summary: "{{ $labels.pod }} serves an older configuration than it was given",
        description: "The newer one was refused: wasmgate status, /readyz and the log have each mistake. A restart would fail.",
    },
    Alert {
        name: "WasmgateDeliveriesGivenUp",
        severity: "warning",
        lasts: "1m",
        expr: "sum by (namespace, package, kind, result) \
               (increase(wasmgate_deliveries_total{JOB,result=~\"dropped|dead-lettered|expired\"}[15m])) > 0",
        summary: "A delivery ({{ $labels.kind }}) to package {{ $labels.package }} was given up: {{ $labels.result }}",
        description: "The package refused it or failed at every try; the log has each, a dead-letter topic the event.",
    },
    Alert {
        name: "WasmgateEventsParked",
        severity: "warning",
        lasts: "1m",
        expr: "wasmgate_dapr_queued_events{JOB,state=\"parked\"} > 0",
        summary: "{{ $value }} events of {{ $labels.topic }} for {{ $labels.app_id }} are parked",
        description: "All retries are used up: wasmgate parked list shows them, and retry or drop settles them.",
    },
    Alert {
        name: "WasmgateEventsLate",
        severity: "warning",
        lasts: "5m",
        expr: "wasmgate_dapr_oldest_event_age_seconds{JOB,state=\"waiting\"} > 300",
        summary: "Events of {{ $labels.topic }} wait for {{ $labels.app_id }} since {{ $value | humanizeDuration }}",
        description: "The package fails, is too slow for what comes, or a circuit is open.",
    },
    Alert {
        name: "WasmgateTagsStale",
        severity: "warning",
        lasts: "15m",
        expr: "wasmgate_packages{JOB,state=\"stale\"} > 0",
        summary: "The tags of {{ $value }} packages of {{ $labels.pod }} cannot be looked up",
        description: "What was pulled before is served: /readyz names them and says why.",
    },
    Alert {
        name: "WasmgateDrainCut",
        severity: "warning",
        lasts: "1m",
        expr: "sum by (namespace, package) (increase(wasmgate_refusals_total{JOB,reason=\"package-replaced\"}[15m])) > 0",
        summary: "Requests of package {{ $labels.package }} were cut by a reload",
        description: "They outlast server.drain_timeout, so that a rollout cuts their like too: raise it, and grace follows \
                      it, or have clients come back.",
    },
];
