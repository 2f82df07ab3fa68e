//! Objects for the Prometheus operator: a Service for the metrics, a ServiceMonitor and alert rules. What
//! deploy/monitoring has too is the same there.

use serde_json::{Value, json};

use super::{
    alerts::ALERTS,
    labels::{labels, meta, named, put},
    options::Options,
    project::Project,
};

/// What tells the Service of the metrics from the public one.
const PART: &str = "app.kubernetes.io/component";

/// How often the metrics are read: several times in the shortest time that an alert looks back.
const INTERVAL: &str = "15s";

/// The metrics of each pod, ready or not: it is those that are not which alerts are about.
pub(super) fn metrics_service(project: &Project) -> Value {
    let mut meta = named(project, "-metrics");
    put_label(&mut meta, PART, "metrics");
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": labels(project),
            "ports": [{"name": "metrics", "port": 9090, "targetPort": "admin"}],
        },
    })
}

/// Has the operator's Prometheus read them.
pub(super) fn service_monitor(project: &Project, options: &Options) -> Value {
    let mut found = labels(project);
    found.insert(PART.to_owned(), "metrics".into());
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": chosen(project, options),
        "spec": {
            "selector": {"matchLabels": found},
            "endpoints": [{"port": "metrics", "path": "/metrics", "interval": INTERVAL}],
        },
    })
}

/// The alerts, each about this project alone: the operator calls its job as the Service of its metrics.
pub(super) fn rules(project: &Project, options: &Options) -> Value {
    let job = format!("job=\"{}-metrics\"", project.name);
    let rules = ALERTS.iter().map(|alert| {
        json!({
            "alert": alert.name,
            "expr": alert.expr.replace("JOB", &job),
            "for": alert.lasts,
            "labels": {"severity": alert.severity},
            "annotations": {"summary": alert.summary, "description": alert.description},
        })
    });
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": chosen(project, options),
        "spec": {"groups": [{"name": project.name, "rules": rules.collect::<Vec<_>>()}]},
    })
}

/// Names and labels, with those by which the operator chooses what it reads.
fn chosen(project: &Project, options: &Options) -> Value {
    let mut meta = meta(project);
    for (name, value) in &options.monitor_label {
        put_label(&mut meta, name, value);
    }
    meta
}

fn put_label(meta: &mut Value, name: &str, value: &str) {
    if let Some(labels) = meta.get_mut("labels") {
        put(labels, name, value.into());
    }
}
