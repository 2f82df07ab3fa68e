//! The values of a chart, and their defaults.

use serde_json::{Map, Value, json};

use super::super::{
    options::Options,
    pod::{self, REPLICAS},
    project::Project,
};

/// The most pods of an autoscaler that nobody has asked for yet.
pub(super) const MOST: u32 = 10;

/// The values' comments, by their keys.
const COMMENTS: [(&str, &str); 25] = [
    (
        "autoscaling",
        "A HorizontalPodAutoscaler; `replicas` are the least then",
    ),
    (
        "autoscaling.cpu",
        "Percent of the requested processors' time",
    ),
    (
        "autoscaling.inFlight",
        "Requests in flight of a pod, as an adapter serves them; 0 leaves them out",
    ),
    (
        "cache",
        "The room for compiled code and what is pulled, in each pod: one that takes more is evicted",
    ),
    (
        "dapr",
        "A Dapr sidecar beside each gateway in the place of embedded building blocks: several pods, no volume",
    ),
    (
        "envFrom",
        "Secrets whose keys become variables of the gateway, for ${NAME} in the configuration",
    ),
    (
        "extraEnv",
        "Variables of the gateway, as Kubernetes has them: {name: LEVEL, value: info}",
    ),
    (
        "files",
        "The image of the project's files, mounted as a volume",
    ),
    (
        "hosts",
        "Names that lead to the project; any, if there is none",
    ),
    ("httpRoute", "An HTTPRoute of Gateway API"),
    ("httpRoute.gateway", "The Gateway's name"),
    (
        "httpRoute.namespace",
        "The Gateway's namespace, if it is another",
    ),
    ("image", "The image that the pods run"),
    ("ingress", "An Ingress, of a class of controllers"),
    (
        "ingress.tlsSecret",
        "The Secret with the certificate of `hosts`",
    ),
    (
        "monitoring",
        "A ServiceMonitor and alert rules, for Prometheus' operator",
    ),
    (
        "monitoring.labels",
        "Labels by which that operator finds them",
    ),
    (
        "monitoring.namespace",
        "The namespace from which metrics are read",
    ),
    ("packages", "Where packages are pulled from"),
    (
        "pullSecret",
        "A Secret of type kubernetes.io/dockerconfigjson, for images and packages",
    ),
    ("replicas", "The number of pods"),
    (
        "resources",
        "The gateway's; it refuses requests with 503 rather than exceed its memory",
    ),
    ("storage", "The volume of the embedded building blocks"),
    (
        "storage.accessMode",
        "ReadWriteOncePod keeps a second pod off, where the class of volumes has it",
    ),
    ("storage.className", "The cluster's default, if it is empty"),
];

/// The values that make the chart what is asked for; `may_choose` is whether it has both kinds of building blocks.
pub(super) fn values(options: &Options, project: &Project, may_choose: bool) -> Value {
    let (gateway, namespace) = gateway(options);
    let variables = options.env.iter();
    let variables = variables.map(|(name, value)| json!({"name": name, "value": value}));
    let labels = options.monitor_label.iter();
    let labels = labels.map(|(name, value)| (name.clone(), value.as_str().into()));
    let mut values = json!({
        "image": pod::image(options),
        "pullSecret": options.pull_secret.clone().unwrap_or_default(),
        "extraEnv": variables.collect::<Vec<_>>(),
        "envFrom": options.env_from,
        "resources": pod::resources(options),
        "cache": {"size": options.cache.text},
        "hosts": options.host,
        "ingress": {
            "enabled": options.ingress_class.is_some(),
            "className": options.ingress_class.as_deref().unwrap_or("traefik"),
            "tlsSecret": options.tls_secret.clone().unwrap_or_default(),
        },
        "httpRoute": {"enabled": options.gateway.is_some(), "gateway": gateway, "namespace": namespace},
        "monitoring": {
            "enabled": options.service_monitor,
            "labels": Map::from_iter(labels),
            "namespace": options.monitoring,
        },
    });
    let Some(fields) = values.as_object_mut() else {
        return values;
    };
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("packages", Value::Object(packages(project)));
    if let Some(files) = &options.files {
        put("files", files.as_str().into());
    }
    if project.has_data() || may_choose {
        let size = options.storage.as_ref().map_or("1Gi", |size| &size.text);
        let class = options.storage_class.clone().unwrap_or_default();
        put(
            "storage",
            json!({"size": size, "className": class, "accessMode": options.access_mode()}),
        );
    }
    if !project.has_data() || may_choose {
        put("replicas", options.replicas.unwrap_or(REPLICAS).into());
        let autoscaling = json!({
            "enabled": options.max_replicas.is_some(),
            "maxReplicas": options.max_replicas.unwrap_or(MOST),
            "cpu": pod::CPU,
            "inFlight": options.in_flight.unwrap_or(0),
        });
        put("autoscaling", autoscaling);
    }
    if may_choose {
        put("dapr", json!({"enabled": project.has_sidecar()}));
    }
    values
}

/// The sources in registries, as the configuration has them.
fn packages(project: &Project) -> Map<String, Value> {
    let document: toml::Table = project.toml.parse().unwrap_or_default();
    let packages = document.get("package").and_then(toml::Value::as_table);
    let sources = packages
        .into_iter()
        .flatten()
        .filter_map(|(name, package)| {
            let source = package.get("source")?.as_str()?;
            source
                .starts_with("oci://")
                .then(|| (name.clone(), json!({"source": source})))
        });
    sources.collect()
}

/// The Gateway's name, and its namespace if that is another one.
fn gateway(options: &Options) -> (&str, &str) {
    let gateway = options.gateway.as_deref().unwrap_or("gateway");
    gateway
        .split_once('/')
        .map_or((gateway, ""), |(namespace, name)| (name, namespace))
}

/// The values as YAML, with a comment for each.
pub(super) fn commented(values: &Value) -> String {
    let mut text = String::new();
    write(&mut text, values, "", "");
    text
}

fn write(text: &mut String, values: &Value, path: &str, indent: &str) {
    for (key, value) in values.as_object().into_iter().flatten() {
        let path = join(path, key);
        if let Some((_, comment)) = COMMENTS.iter().find(|(of, _)| *of == path) {
            text.push_str(&format!("{indent}# {comment}.\n"));
        }
        // Text in quotation marks is YAML too, and none is taken for a number or a truth.
        let key = if path.starts_with("packages.") {
            Value::from(key.as_str()).to_string()
        } else {
            key.clone()
        };
        match value.as_object().filter(|fields| !fields.is_empty()) {
            Some(_) => {
                text.push_str(&format!("{indent}{key}:\n"));
                write(text, value, &path, &format!("{indent}  "));
            }
            None => text.push_str(&format!("{indent}{key}: {value}\n")),
        }
    }
}

/// A value's key as it is written, from the root on.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
