//! The objects around the pods: Service, ingress, configuration, volumes, autoscaling. What the components of deploy/
//! render too is the same there.

use serde_json::{Value, json};

use super::{
    labels::{labels, meta, named, put},
    options::Options,
    pod::{CPU, REPLICAS},
    project::Project,
};

/// No token: neither the gateway nor a guest talks to the cluster.
pub(super) fn account(project: &Project) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": meta(project),
        "automountServiceAccountToken": false,
    })
}

/// What the gateway reads. Its name stays, and the gateway watches it.
pub(super) fn configuration(project: &Project) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta(project),
        "data": {"wasmgate.toml": project.toml},
    })
}

/// The component files.
pub(super) fn components(project: &Project) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": named(project, "-components"),
        "data": project.components,
    })
}

/// The embedded building blocks' volume, an object of its own: it stays when the StatefulSet is deleted.
pub(super) fn claim(project: &Project, options: &Options) -> Value {
    let size = options.storage.as_ref().map_or("1Gi", |size| &size.text);
    let mut spec = json!({"accessModes": [options.access_mode()], "resources": {"requests": {"storage": size}}});
    if let Some(class) = &options.storage_class {
        put(&mut spec, "storageClassName", class.as_str().into());
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": named(project, "-data"),
        "spec": spec,
    })
}

/// The public listener only.
pub(super) fn service(project: &Project) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(project),
        "spec": {
            "selector": labels(project),
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "appProtocol": "http"}],
        },
    })
}

/// Everyone reaches the public listener, and one namespace the metrics. Probes come from the node.
pub(super) fn network(project: &Project, options: &Options) -> Value {
    let mut metrics = vec![json!({"port": "admin"})];
    if project.has_sidecar() {
        metrics.push(json!({"port": 9091}));
    }
    let from = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": options.monitoring}}}]);
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta(project),
        "spec": {
            "podSelector": {"matchLabels": labels(project)},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"port": "http"}]}, {"from": from, "ports": metrics}],
        },
    })
}

/// One pod at a time; `minAvailable: 1` would never let a single one go.
pub(super) fn disruption(project: &Project) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": meta(project),
        "spec": {
            "selector": {"matchLabels": labels(project)},
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    })
}

/// What an adapter is to call the requests that a pod answers or keeps waiting: deploy/autoscaling-in-flight.
const IN_FLIGHT: &str = "wasmgate_requests_in_flight";

/// As many pods as their processors' time asks for, and their requests in flight if that is asked for.
pub(super) fn autoscaler(project: &Project, options: &Options, most: u32) -> Value {
    let cpu = json!({
        "container": "wasmgate",
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": CPU},
    });
    let mut metrics = vec![json!({"type": "ContainerResource", "containerResource": cpu})];
    if let Some(requests) = options.in_flight {
        let target = json!({"type": "AverageValue", "averageValue": requests.to_string()});
        metrics.push(json!({"type": "Pods", "pods": {"metric": {"name": IN_FLIGHT}, "target": target}}));
    }
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta(project),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": project.name},
            "minReplicas": options.replicas.unwrap_or(REPLICAS),
            "maxReplicas": most,
            "metrics": metrics,
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 0,
                    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
                },
                // Each pod that goes drains, and its events go on elsewhere.
                "scaleDown": {
                    "stabilizationWindowSeconds": 300,
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                },
            },
        },
    })
}

/// The way in for a class of Ingress controllers. Which paths there are is the routes' to say.
pub(super) fn ingress(project: &Project, options: &Options, class: &str) -> Value {
    let backend = json!({"service": {"name": project.name, "port": {"name": "http"}}});
    let http = json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]});
    let hosts = options
        .host
        .iter()
        .map(|host| json!({"host": host, "http": http}));
    let mut rules: Vec<Value> = hosts.collect();
    if rules.is_empty() {
        rules.push(json!({"http": http}));
    }
    let mut spec = json!({"ingressClassName": class, "rules": rules});
    if let Some(secret) = &options.tls_secret {
        put(
            &mut spec,
            "tls",
            json!([{"hosts": options.host, "secretName": secret}]),
        );
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta(project),
        "spec": spec,
    })
}

/// The way in by a Gateway.
pub(super) fn http_route(project: &Project, options: &Options, gateway: &str) -> Value {
    let parent = match gateway.split_once('/') {
        Some((namespace, name)) => json!({"name": name, "namespace": namespace}),
        None => json!({"name": gateway}),
    };
    let mut spec = json!({
        "parentRefs": [parent],
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [{"name": project.name, "port": 80}],
        }],
    });
    if !options.host.is_empty() {
        put(&mut spec, "hostnames", json!(options.host));
    }
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": meta(project),
        "spec": spec,
    })
}
