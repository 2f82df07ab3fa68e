//! Annotations for the injected Dapr sidecar.

use serde_json::{Value, json};

use super::{
    labels::{Words, meta},
    project::{Blocks, Project},
};

/// The Secret with the token that tells the sidecar's events and jobs from anybody else's.
pub(super) fn token(project: &Project) -> String {
    format!("{}-app-token", project.name)
}

/// What the injector is asked for; nothing without a sidecar.
pub(super) fn annotations(project: &Project) -> Words {
    let Blocks::Sidecar { app } = &project.blocks else {
        return Words::new();
    };
    let token = token(project);
    let all = [
        ("enabled", "true"),
        ("app-id", app),
        // The gateway's `[dapr] listen`.
        ("app-port", "3001"),
        ("app-protocol", "http"),
        ("config", &project.name),
        ("app-token-secret", &token),
        // Dapr's default, 9090, is the gateway's admin listener: the two share the pod's network.
        ("metrics-port", "9091"),
        // It begins before the gateway and ends after it: what is in flight there keeps it.
        ("enable-native-sidecar", "true"),
        ("graceful-shutdown-seconds", "5"),
        // From SIGTERM on the gateway's checks fail; when the sidecar has seen it, it takes no more events.
        ("enable-app-health-check", "true"),
        ("app-health-check-path", "/healthz"),
        ("app-health-probe-interval", "1"),
        ("app-health-threshold", "3"),
        // The pod has no token of the cluster; the operator resolves the secrets of components.
        ("disable-builtin-k8s-secret-store", "true"),
        ("sidecar-seccomp-profile-type", "RuntimeDefault"),
        ("sidecar-cpu-request", "100m"),
        ("sidecar-memory-request", "64Mi"),
        ("sidecar-memory-limit", "256Mi"),
    ];
    let all = all.into_iter();
    all.map(|(name, value)| (format!("dapr.io/{name}"), value.into()))
        .collect()
}

/// What the sidecar does beyond its components: no guest reads the cluster's secrets, and nobody invokes packages
/// through Dapr.
pub(super) fn configuration(project: &Project) -> Value {
    json!({
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": meta(project),
        "spec": {
            "tracing": {"samplingRate": "0"},
            "metrics": {"enabled": true},
            "secrets": {"scopes": [{"storeName": "kubernetes", "defaultAccess": "deny"}]},
            "accessControl": {"defaultAction": "deny"},
        },
    })
}
