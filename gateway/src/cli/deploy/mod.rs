//! `wasmgate deploy`: the objects by which a cluster runs a project.

mod around;
mod document;
mod labels;
mod names;
mod options;
mod output;
mod pod;
mod project;
mod reading;
mod secrets;
mod sidecar;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Exit, File};
use options::Options;
use output::Object;
use project::Project;

/// The most bytes of a ConfigMap's data (Kubernetes, "ConfigMaps").
const CONFIG_MAP: usize = 1 << 20;

/// Its arguments.
#[derive(Args)]
pub(crate) struct Deploy {
    #[command(flatten)]
    file: File,
    /// Render the objects of Kubernetes, in YAML
    #[arg(long, required = true)]
    kubernetes: bool,
    /// Write a file for each object into this folder; - for standard output
    #[arg(short, long, value_name = "DIR", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    options: Options,
}

impl Deploy {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let options = &self.options;
        if !options.host.is_empty() && options.gateway.is_none() && options.ingress_class.is_none() {
            return Err(mistake(
                "--host has nothing to lead from",
                "add --gateway NAME or --ingress-class NAME",
            ));
        }
        if let Some(most) = options.max_replicas
            && most < options.replicas.unwrap_or(pod::REPLICAS)
        {
            return Err(mistake(
                "--max-replicas is less than --replicas",
                &format!("there are {} at least unless said", pod::REPLICAS),
            ));
        }
        let project = Project::read(&self.file.load()?, options)?;
        if options.storage.is_some() && !project.has_data() {
            return Err(mistake(
                "--storage is the size of a volume, and these pods have none",
                "leave it out: no data is kept in them",
            ));
        }
        let components = project.components.values().map(String::len).sum();
        if project.toml.len().max(components) > CONFIG_MAP {
            return Err(mistake(
                "the configuration or the component files have more than 1 MiB, which is the most of a ConfigMap",
                "split the project",
            ));
        }
        output::write(&objects(&project, options), &self.output)?;
        for note in notes(&project, options) {
            eprintln!("note: {note}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn mistake(message: &str, help: &str) -> Exit {
    Exit::usage(format!("error: {message}\n  help: {help}"))
}

/// In the order in which they are made.
fn objects(project: &Project, options: &Options) -> Vec<Object> {
    let workload = if project.has_data() {
        "statefulset.yaml"
    } else {
        "deployment.yaml"
    };
    let parts = [
        Some(("serviceaccount.yaml", around::account(project))),
        Some(("configmap.yaml", around::configuration(project))),
        (!project.components.is_empty()).then(|| ("components.yaml", around::components(project))),
        project
            .has_sidecar()
            .then(|| ("configuration.yaml", sidecar::configuration(project))),
        project
            .has_data()
            .then(|| ("storage.yaml", around::claim(project, options))),
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
    ];
    parts.into_iter().flatten().collect()
}

/// What the cluster must have beside the objects.
fn notes(project: &Project, options: &Options) -> Vec<String> {
    let mut notes = Vec::new();
    if options.image.is_none() {
        notes.push(
            "the image is the gateway's own, from wherever your cluster has it: name yours by --image".to_owned(),
        );
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
