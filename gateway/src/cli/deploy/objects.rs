//! All objects of a project.

use super::{around, monitoring, options::Options, output::Object, pod, project::Project, sidecar};

/// The most hosts of an HTTPRoute (Gateway API, `spec.hostnames`).
pub(super) const HOSTS: usize = 16;

/// In the order in which they are made.
pub(super) fn objects(project: &Project, options: &Options) -> Vec<Object> {
    let workload = if project.has_data() {
        "statefulset.yaml"
    } else {
        "deployment.yaml"
    };
    let when =
        |is_wanted: bool, file: &'static str, make: &dyn Fn() -> serde_json::Value| is_wanted.then(|| (file, make()));
    let parts = [
        Some(("serviceaccount.yaml", around::account(project))),
        Some(("configmap.yaml", around::configuration(project))),
        when(!project.components.is_empty(), "components.yaml", &|| {
            around::components(project)
        }),
        when(project.has_sidecar(), "configuration.yaml", &|| {
            sidecar::configuration(project)
        }),
        when(project.has_data(), "storage.yaml", &|| {
            around::claim(project, options)
        }),
        Some(("service.yaml", around::service(project))),
        Some(("networkpolicy.yaml", around::network(project, options))),
        Some(("disruption.yaml", around::disruption(project))),
        Some((workload, pod::workload(project, options))),
        options.max_replicas.map(|most| {
            (
                "autoscaler.yaml",
                around::autoscaler(project, options, most),
            )
        }),
        options
            .ingress_class
            .as_ref()
            .map(|class| ("ingress.yaml", around::ingress(project, options, class))),
        options.gateway.as_ref().map(|gateway| {
            (
                "httproute.yaml",
                around::http_route(project, options, gateway),
            )
        }),
        when(options.service_monitor, "metrics.yaml", &|| {
            monitoring::metrics_service(project)
        }),
        when(options.service_monitor, "servicemonitor.yaml", &|| {
            monitoring::service_monitor(project, options)
        }),
        when(options.service_monitor, "rules.yaml", &|| {
            monitoring::rules(project, options)
        }),
    ];
    parts.into_iter().flatten().collect()
}

/// What the cluster must have beside the objects.
pub(super) fn notes(project: &Project, options: &Options) -> Vec<String> {
    let mut notes = Vec::new();
    if options.image.is_none() {
        notes.push(
            "the image is the gateway's own, from wherever your cluster has it: name yours by --image".to_owned(),
        );
    }
    if options.files.is_some() {
        notes.push(
            "image volumes are on by default from Kubernetes 1.35 on, and need containerd 2.1 or CRI-O".to_owned(),
        );
    }
    if options.in_flight.is_some() {
        notes.push("requests in flight are served by an adapter: deploy/autoscaling-in-flight has its rule".to_owned());
    }
    if project.has_sidecar() {
        let token = sidecar::token(project);
        notes.push(format!(
            "make the Secret {token}: kubectl create secret generic {token} --from-literal=token=$(openssl rand -hex 32)"
        ));
        notes.push("Dapr's Components are yours to apply, with the names that the packages use".to_owned());
    }
    notes
}
