//! `wasmgate deploy`: renders the Kubernetes objects of a project.

mod alerts;
mod around;
mod chart;
mod comments;
mod document;
mod folders;
mod holes;
mod labels;
mod monitoring;
mod names;
mod objects;
mod options;
mod output;
mod pod;
mod project;
mod reading;
mod secrets;
mod sidecar;

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use clap::{ArgGroup, Args};

use super::{Exit, File};
use objects::{notes, objects};
use options::Options;
use project::Project;

/// The most bytes of a ConfigMap's data (Kubernetes, "ConfigMaps").
const CONFIG_MAP: usize = 1 << 20;

/// Its arguments.
#[derive(Args)]
#[command(group = ArgGroup::new("form").required(true).args(["kubernetes", "helm"]))]
pub(crate) struct Deploy {
    #[command(flatten)]
    file: File,
    /// Render the objects of Kubernetes, in YAML
    #[arg(long)]
    kubernetes: bool,
    /// Write a Helm chart of them into this folder; the options are what its values are unless said
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    helm: Option<PathBuf>,
    /// Write a file for each object into this folder; - for standard output
    #[arg(short, long, value_name = "DIR", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    options: Options,
}

impl Deploy {
    pub(super) fn run(mut self) -> Result<ExitCode, Exit> {
        self.options.env = environment(self.file.variables(), self.options.pull_secret.is_some())?;
        let mut seen = BTreeSet::new();
        self.options.host.retain(|host| seen.insert(host.clone()));
        let options = &self.options;
        if options.gateway.is_some() && options.host.len() > objects::HOSTS {
            let message = format!("an HTTPRoute leads from {} hosts at most", objects::HOSTS);
            return Err(mistake(&message, "name all below one as *.example.com"));
        }
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
        if options.max_replicas.is_some() && options.replicas == Some(1) {
            return Err(mistake(
                "an autoscaler with --replicas 1 leaves nobody while the one pod goes",
                "leave --replicas out, or write 2 at least",
            ));
        }
        let config = self.file.load()?;
        let project = Project::read(&config, options)?;
        if options.is_of_volume() && !project.has_data() {
            return Err(mistake(
                "--storage, --storage-class and --access-mode are of a volume, and these pods have none",
                "leave them out: no data is kept in the pods",
            ));
        }
        let components = project.components.values().map(String::len).sum();
        if project.toml.len().max(components) > CONFIG_MAP {
            return Err(mistake(
                "the configuration or the component files have more than 1 MiB, which is the most of a ConfigMap",
                "split the project",
            ));
        }
        match &self.helm {
            Some(folder) => chart::write(&config, options, &project, folder)?,
            None => output::write(&objects(&project, options), &self.output)?,
        }
        for note in notes(&project, options) {
            super::tell(&format!("note: {note}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The pods' variables of the command line: each once, with what was said of it last.
fn environment(given: &[(String, String)], has_pull_secret: bool) -> Result<Vec<(String, String)>, Exit> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in given {
        names::variable(name).map_err(|why| mistake(&format!("--env {name}: {why}"), "name it otherwise"))?;
        if has_pull_secret && name == pod::DOCKER_CONFIG {
            let message = format!("--env {name} and --pull-secret both say where credentials are");
            return Err(mistake(&message, "leave one of them out"));
        }
        all.retain(|(other, _)| other != name);
        all.push((name.clone(), value.clone()));
    }
    Ok(all)
}

fn mistake(message: &str, help: &str) -> Exit {
    Exit::usage(format!("error: {message}\n  help: {help}"))
}
