//! The pods and their Deployment or StatefulSet. A test compares deploy/base and deploy/overlays/dapr with what is
//! rendered.

use serde_json::{Value, json};

use super::{
    labels::{labels, put},
    options::Options,
    project::{Blocks, COMPONENTS, Project},
    reading::FOLDER,
    sidecar,
};

/// The user of the image, which is nobody on any machine.
const USER: u32 = 65532;
/// Seconds from the decision to end a pod until SIGTERM, in which load balancers take it out.
const PRE_STOP: u64 = 5;
/// Seconds from the end of the drain until SIGKILL, which would cut requests in its middle.
const SPARE: u64 = 10;
/// The pods unless asked for others, where they keep nothing: one may go.
pub(super) const REPLICAS: u32 = 2;
/// The percent of the requested processors' time by which an autoscaler goes.
pub(super) const CPU: u32 = 70;
/// The memory that a pod asks for, in Mi, unless it may take less.
const MEMORY: u64 = 256;
/// The gateway's own image, as deploy/Dockerfile makes it.
const IMAGE: &str = concat!("wasmgate:", env!("CARGO_PKG_VERSION"));
/// The variable that names Docker's folder.
pub(super) const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// Docker's folder, with the credentials of registries.
const DOCKER: &str = "/etc/docker";

/// A StatefulSet where the pod has data: it makes a new pod when the old one is gone, never beside it.
pub(super) fn workload(project: &Project, options: &Options) -> Value {
    let labels = labels(project);
    let mut annotations = sidecar::annotations(project);
    let common = [
        ("kubectl.kubernetes.io/default-container", "wasmgate"),
        ("prometheus.io/scrape", "true"),
        ("prometheus.io/port", "9090"),
        ("prometheus.io/path", "/metrics"),
    ];
    annotations.extend(common.map(|(name, value)| (name.to_owned(), value.into())));
    let template = json!({
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": spec(project, options),
    });
    let mut whole = json!({
        "apiVersion": "apps/v1",
        "kind": if project.has_data() { "StatefulSet" } else { "Deployment" },
        "metadata": {"name": project.name, "labels": labels},
        "spec": {"revisionHistoryLimit": 3, "selector": {"matchLabels": labels}, "template": template},
    });
    let more = if project.has_data() {
        // Otherwise a pod that does not get ready is not replaced by one of a revision that would.
        json!({"replicas": 1, "serviceName": project.name, "podManagementPolicy": "Parallel"})
    } else {
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        match options.max_replicas {
            // The autoscaler's alone: an apply would put it back.
            Some(_) => json!({"strategy": strategy}),
            None => json!({"replicas": options.replicas.unwrap_or(REPLICAS), "strategy": strategy}),
        }
    };
    if let (Some(spec), Value::Object(more)) = (whole.get_mut("spec").and_then(Value::as_object_mut), more) {
        spec.extend(more);
    }
    whole
}

fn spec(project: &Project, options: &Options) -> Value {
    let spread = |key: &str| {
        json!({
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels(project)},
        })
    };
    let mut spec = json!({
        "serviceAccountName": project.name,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": PRE_STOP.saturating_add(project.drain).saturating_add(SPARE),
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [spread("topology.kubernetes.io/zone"), spread("kubernetes.io/hostname")],
        "containers": [container(project, options)],
        "volumes": volumes(project, options),
    });
    if project.is_in_image {
        put(&mut spec, "initContainers", json!([cache(options)]));
    }
    if let Some(secret) = &options.pull_secret {
        put(&mut spec, "imagePullSecrets", json!([{"name": secret}]));
    }
    spec
}

/// The gateway's image.
pub(super) fn image(options: &Options) -> &str {
    options.image.as_deref().unwrap_or(IMAGE)
}

fn closed() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    })
}

/// The image's root is read-only and the gateway writes to its cache: it starts from a copy of the image's.
fn cache(options: &Options) -> Value {
    json!({
        "name": "cache",
        "image": image(options),
        "command": ["/usr/bin/cp", "-r", "/var/cache/wasmgate/code", "/cache/"],
        "securityContext": closed(),
        "resources": {"requests": {"cpu": "50m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
    })
}

fn container(project: &Project, options: &Options) -> Value {
    let probe = |path: &str| json!({"path": path, "port": "admin"});
    let mut container = json!({
        "name": "wasmgate",
        "image": image(options),
        "args": ["up", "--watch", "/etc/wasmgate/wasmgate.toml"],
        "securityContext": closed(),
        "ports": [{"name": "http", "containerPort": 3000}, {"name": "admin", "containerPort": 9090}],
        // The admin listener answers before the packages are loaded: alive at once, ready when they are.
        "startupProbe": {"httpGet": probe("/livez"), "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {"httpGet": probe("/livez"), "periodSeconds": 10, "timeoutSeconds": 2, "failureThreshold": 3},
        "readinessProbe": {"httpGet": probe("/readyz"), "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 2},
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP}}},
        "resources": resources(options),
        "volumeMounts": mounts(project, options),
    });
    let env = environment(project, options);
    if !env.is_empty() {
        put(&mut container, "env", env.into());
    }
    if !options.env_from.is_empty() {
        let secrets = options.env_from.iter();
        put(
            &mut container,
            "envFrom",
            secrets
                .map(|secret| json!({"secretRef": {"name": secret}}))
                .collect(),
        );
    }
    container
}

/// No limit on the CPU: throttling is latency, and guests give way to each other by themselves.
pub(super) fn resources(options: &Options) -> Value {
    let request = options.memory.mebibytes.min(MEMORY);
    json!({
        "requests": {"cpu": "500m", "memory": format!("{request}Mi")},
        "limits": {"memory": options.memory.text},
    })
}

fn environment(project: &Project, options: &Options) -> Vec<Value> {
    let token = project.has_sidecar().then(|| {
        let secret = json!({"name": sidecar::token(project), "key": "token"});
        json!({"name": "APP_API_TOKEN", "valueFrom": {"secretKeyRef": secret}})
    });
    let docker = options
        .pull_secret
        .is_some()
        .then(|| json!({"name": DOCKER_CONFIG, "value": DOCKER}));
    let given = options.env.iter();
    let given = given.map(|(name, value)| json!({"name": name, "value": value}));
    token.into_iter().chain(docker).chain(given).collect()
}

fn mounts(project: &Project, options: &Options) -> Vec<Value> {
    let mut mounts = vec![json!({"name": "config", "mountPath": "/etc/wasmgate", "readOnly": true})];
    if !project.components.is_empty() {
        mounts.push(json!({"name": "components", "mountPath": COMPONENTS, "readOnly": true}));
    }
    mounts.push(json!({"name": "cache", "mountPath": "/var/cache/wasmgate"}));
    if project.blocks == Blocks::Embedded {
        mounts.push(json!({"name": "data", "mountPath": "/var/lib/wasmgate"}));
    }
    if options.files.is_some() {
        mounts.push(json!({"name": "files", "mountPath": FOLDER, "readOnly": true}));
    }
    if options.pull_secret.is_some() {
        mounts.push(json!({"name": "docker", "mountPath": DOCKER, "readOnly": true}));
    }
    mounts.push(json!({"name": "tmp", "mountPath": "/tmp"}));
    mounts
}

fn volumes(project: &Project, options: &Options) -> Vec<Value> {
    let name = &project.name;
    let mut volumes = vec![json!({"name": "config", "configMap": {"name": name}})];
    if !project.components.is_empty() {
        volumes.push(json!({"name": "components", "configMap": {"name": format!("{name}-components")}}));
    }
    volumes.push(json!({"name": "cache", "emptyDir": {"sizeLimit": options.cache.text}}));
    if project.blocks == Blocks::Embedded {
        volumes.push(json!({"name": "data", "persistentVolumeClaim": {"claimName": format!("{name}-data")}}));
    }
    if let Some(image) = &options.files {
        volumes.push(json!({"name": "files", "image": {"reference": image, "pullPolicy": "IfNotPresent"}}));
    }
    if let Some(secret) = &options.pull_secret {
        let items = json!([{"key": ".dockerconfigjson", "path": "config.json"}]);
        volumes.push(json!({"name": "docker", "secret": {"secretName": secret, "items": items}}));
    }
    volumes.push(json!({"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}));
    volumes
}
