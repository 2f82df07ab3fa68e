//! Which fields of which objects are filled by chart values.

use serde_json::Value;

use super::super::{holes::Holes, labels::put, pod::DOCKER_CONFIG, project::Project};

/// Whether there is a Secret for images and registries.
const PULL_SECRET: &str = ".Values.pullSecret";

/// Puts marks into an object of a file; none where it has not the place for one, a mistake in this program.
pub(super) fn fill(holes: &mut Holes, project: &Project, file: &str, object: &mut Value) -> Option<()> {
    match file {
        "configmap.yaml" => packages(holes, object),
        "statefulset.yaml" | "deployment.yaml" => workload(holes, project, object),
        "storage.yaml" => storage(holes, object),
        "networkpolicy.yaml" => {
            let from = object.pointer_mut("/spec/ingress/1/from/0/namespaceSelector/matchLabels")?;
            put(
                from,
                "kubernetes.io/metadata.name",
                holes.value(".Values.monitoring.namespace"),
            );
            Some(())
        }
        "autoscaler.yaml" => autoscaler(holes, object),
        "ingress.yaml" => ingress(holes, object),
        "httproute.yaml" => http_route(holes, object),
        "servicemonitor.yaml" | "rules.yaml" => {
            let lines = [
                "{{- range $name, $value := .Values.monitoring.labels }}",
                "{{ toJson $name }}: {{ toJson $value }}",
                "{{- end }}",
            ];
            put_lines(holes, object.pointer_mut("/metadata/labels")?, lines);
            Some(())
        }
        _ => Some(()),
    }
}

/// When an object is there at all.
pub(super) fn condition(file: &str) -> Option<&'static str> {
    match file {
        "autoscaler.yaml" => Some(".Values.autoscaling.enabled"),
        "ingress.yaml" => Some(".Values.ingress.enabled"),
        "httproute.yaml" => Some(".Values.httpRoute.enabled"),
        "metrics.yaml" | "servicemonitor.yaml" | "rules.yaml" => Some(".Values.monitoring.enabled"),
        _ => None,
    }
}

/// Values that contradict each other, at the head of a file's template.
pub(super) fn refusals(file: &str) -> &'static [(&'static str, &'static str)] {
    match file {
        "autoscaler.yaml" => &[
            (
                "lt (int .Values.replicas) 2",
                "autoscaling.enabled with replicas 1 leaves nobody while the one pod goes: write 2 at least",
            ),
            (
                "lt (int .Values.autoscaling.maxReplicas) (int .Values.replicas)",
                "autoscaling.maxReplicas is less than replicas, which are the least",
            ),
        ],
        "ingress.yaml" => &[(
            ".Values.httpRoute.enabled",
            "ingress.enabled and httpRoute.enabled both lead to the gateway: keep one",
        )],
        "httproute.yaml" => &[(
            "gt (len .Values.hosts) 16",
            "an HTTPRoute leads from 16 hosts at most: name all below one as *.example.com",
        )],
        "service.yaml" => &[(
            "and .Values.hosts (not (or .Values.ingress.enabled .Values.httpRoute.enabled))",
            "hosts have nothing to lead from: set ingress.enabled or httpRoute.enabled",
        )],
        _ => &[],
    }
}

/// Lines in the place of a key.
fn put_lines<const N: usize>(holes: &mut Holes, object: &mut Value, lines: [&str; N]) {
    let Value::String(mark) = holes.lines(lines) else {
        return;
    };
    put(object, &mark, Value::Null);
}

/// The sources in a registry.
fn packages(holes: &mut Holes, object: &mut Value) -> Option<()> {
    let text = object.pointer("/data/wasmgate.toml")?.as_str()?;
    let mut document: toml::Table = text.parse().ok()?;
    let packages = document
        .get_mut("package")
        .and_then(toml::Value::as_table_mut);
    for (name, package) in packages.into_iter().flatten() {
        let source = package.get_mut("source")?;
        if source.as_str()?.starts_with("oci://") {
            let mark = holes.part(&format!("(index .Values.packages {name:?}).source"));
            *source = mark.as_str()?.into();
        }
    }
    let text = toml::to_string(&document).ok()?;
    *object.pointer_mut("/data/wasmgate.toml")? = text.into();
    Some(())
}

fn workload(holes: &mut Holes, project: &Project, object: &mut Value) -> Option<()> {
    if !project.has_data() {
        let lines = [
            "{{- if not .Values.autoscaling.enabled }}",
            "replicas: {{ toJson .Values.replicas }}",
            "{{- end }}",
        ];
        let spec = object.get_mut("spec")?;
        spec.as_object_mut()?.remove("replicas");
        put_lines(holes, spec, lines);
    }
    let pod = object.pointer_mut("/spec/template/spec")?;
    pod.as_object_mut()?.remove("imagePullSecrets");
    let lines = [
        "{{- with .Values.pullSecret }}",
        "imagePullSecrets:",
        "- name: {{ toJson . }}",
        "{{- end }}",
    ];
    put_lines(holes, pod, lines);
    for place in ["/initContainers/0", "/containers/0"] {
        if let Some(container) = pod.pointer_mut(place) {
            put(container, "image", holes.value(".Values.image"));
        }
    }
    for volume in pod.get_mut("volumes")?.as_array_mut()? {
        if let Some(image) = volume.get_mut("image") {
            put(image, "reference", holes.value(".Values.files"));
        }
        if volume["name"] == "cache" {
            put(
                volume.get_mut("emptyDir")?,
                "sizeLimit",
                holes.value(".Values.cache.size"),
            );
        }
        if let Some(secret) = volume.pointer_mut("/secret/secretName") {
            *secret = holes.value(PULL_SECRET);
        }
    }
    only_with_pull_secret(holes, pod.get_mut("volumes")?)?;
    let container = pod.pointer_mut("/containers/0")?;
    only_with_pull_secret(holes, container.get_mut("volumeMounts")?)?;
    put(container, "resources", holes.value(".Values.resources"));
    environment(holes, container)
}

/// The item that a list has for the pull secret alone.
fn only_with_pull_secret(holes: &mut Holes, list: &mut Value) -> Option<()> {
    let items = list.as_array_mut()?;
    let docker = items.iter_mut().find(|item| item["name"] == "docker")?;
    let lines = [
        format!("{{{{- if {PULL_SECRET} }}}}"),
        format!("- {}", holes.inline(docker)),
        "{{- end }}".to_owned(),
    ];
    *docker = holes.lines(lines);
    Some(())
}

/// Variables: those of a pod of this kind, that of the pull secret, and what the values add.
fn environment(holes: &mut Holes, container: &mut Value) -> Option<()> {
    let fields = container.as_object_mut()?;
    let mut lines = vec!["env:".to_owned()];
    let mut always = 0;
    for variable in fields.remove("env")?.as_array()? {
        let line = format!("- {}", holes.inline(variable));
        if variable["name"] == DOCKER_CONFIG {
            lines.extend([
                format!("{{{{- if {PULL_SECRET} }}}}"),
                line,
                "{{- end }}".to_owned(),
            ]);
        } else {
            always += 1;
            lines.push(line);
        }
    }
    lines.extend(
        [
            "{{- range .Values.extraEnv }}",
            "- {{ toJson . }}",
            "{{- end }}",
        ]
        .map(str::to_owned),
    );
    if always == 0 {
        lines.insert(
            0,
            format!("{{{{- if or {PULL_SECRET} .Values.extraEnv }}}}"),
        );
        lines.push("{{- end }}".to_owned());
    }
    let from = [
        "{{- with .Values.envFrom }}",
        "envFrom:",
        "{{- range . }}",
        "- secretRef: {\"name\": {{ toJson . }}}",
        "{{- end }}",
        "{{- end }}",
    ];
    fields.remove("envFrom");
    lines.extend(from.map(str::to_owned));
    let mark = holes.lines(lines);
    fields.insert(mark.as_str()?.to_owned(), Value::Null);
    Some(())
}

fn storage(holes: &mut Holes, object: &mut Value) -> Option<()> {
    let requests = object.pointer_mut("/spec/resources/requests")?;
    put(requests, "storage", holes.value(".Values.storage.size"));
    let spec = object.get_mut("spec")?;
    *spec.pointer_mut("/accessModes/0")? = holes.value(".Values.storage.accessMode");
    spec.as_object_mut()?.remove("storageClassName");
    let lines = [
        "{{- with .Values.storage.className }}",
        "storageClassName: {{ toJson . }}",
        "{{- end }}",
    ];
    put_lines(holes, spec, lines);
    Some(())
}

fn autoscaler(holes: &mut Holes, object: &mut Value) -> Option<()> {
    let spec = object.get_mut("spec")?;
    put(spec, "minReplicas", holes.value(".Values.replicas"));
    put(
        spec,
        "maxReplicas",
        holes.value(".Values.autoscaling.maxReplicas"),
    );
    let [cpu, pods] = spec.get_mut("metrics")?.as_array_mut()?.as_mut_slice() else {
        return None;
    };
    *cpu.pointer_mut("/containerResource/target/averageUtilization")? = holes.value(".Values.autoscaling.cpu");
    let number = "(toString (int64 .Values.autoscaling.inFlight))";
    *pods.pointer_mut("/pods/target/averageValue")? = holes.value(number);
    let lines = [
        "{{- if .Values.autoscaling.inFlight }}".to_owned(),
        format!("- {}", holes.inline(pods)),
        "{{- end }}".to_owned(),
    ];
    *pods = holes.lines(lines);
    Some(())
}

fn ingress(holes: &mut Holes, object: &mut Value) -> Option<()> {
    let spec = object.get_mut("spec")?;
    put(
        spec,
        "ingressClassName",
        holes.value(".Values.ingress.className"),
    );
    let http = holes.inline(spec.pointer("/rules/0/http")?);
    let lines = [
        "rules:".to_owned(),
        "{{- range default (list \"\") .Values.hosts }}".to_owned(),
        format!("- http: {http}"),
        "  {{- with . }}".to_owned(),
        "  host: {{ toJson . }}".to_owned(),
        "  {{- end }}".to_owned(),
        "{{- end }}".to_owned(),
        "{{- with .Values.ingress.tlsSecret }}".to_owned(),
        "tls:".to_owned(),
        "- secretName: {{ toJson . }}".to_owned(),
        "  hosts: {{ toJson $.Values.hosts }}".to_owned(),
        "{{- end }}".to_owned(),
    ];
    let mark = holes.lines(lines);
    let fields = spec.as_object_mut()?;
    fields.remove("rules");
    fields.remove("tls");
    fields.insert(mark.as_str()?.to_owned(), Value::Null);
    Some(())
}

fn http_route(holes: &mut Holes, object: &mut Value) -> Option<()> {
    let spec = object.get_mut("spec")?;
    let parent = holes.value(".Values.httpRoute.gateway");
    let lines = [
        "parentRefs:".to_owned(),
        format!("- name: {}", holes.inline(&parent)),
        "{{- with .Values.httpRoute.namespace }}".to_owned(),
        "  namespace: {{ toJson . }}".to_owned(),
        "{{- end }}".to_owned(),
        "{{- with .Values.hosts }}".to_owned(),
        "hostnames: {{ toJson . }}".to_owned(),
        "{{- end }}".to_owned(),
    ];
    let mark = holes.lines(lines);
    let fields = spec.as_object_mut()?;
    fields.remove("parentRefs");
    fields.remove("hostnames");
    fields.insert(mark.as_str()?.to_owned(), Value::Null);
    Some(())
}
