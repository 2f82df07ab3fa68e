//! Renders a project as a Helm chart. Its templates are the objects that `--kubernetes` renders, with placeholders for
//! values, so that both have one source.

mod fill;
mod schema;
mod values;

use std::path::Path;

use serde_json::json;
use wasmgate::config::{Config, DaprMode};

use super::{
    super::Exit,
    comments::explained,
    holes::{Holes, escaped},
    objects::{notes, objects},
    options::Options,
    output::{FILES, MARK, write_files},
    project::Project,
};
use fill::{condition, fill, refusals};

/// The value by which a chart chooses where its building blocks are.
const DAPR: &str = ".Values.dapr.enabled";

/// The oldest Kubernetes for a chart, and for one with an image volume.
const KUBERNETES: [&str; 2] = [">=1.30.0-0", ">=1.33.0-0"];

/// Writes the chart into a folder.
///
/// # Errors
/// When it cannot be written, or is another's.
pub(super) fn write(config: &Config, options: &Options, project: &Project, to: &Path) -> Result<(), Exit> {
    let templates = FILES.iter().chain(&[NOTES]);
    let known = templates.map(|file| format!("templates/{file}"));
    let known = known.chain(["Chart.yaml", "values.yaml", SCHEMA].map(str::to_owned));
    write_files(&files(config, options, project)?, known, to)
}

/// The files of the chart, each with its text.
fn files(config: &Config, options: &Options, project: &Project) -> Result<Vec<(String, String)>, Exit> {
    let other = other(config, options, project);
    let values = values::values(options, project, other.is_some());
    let schema = schema::schema(&values);
    let mut files = vec![
        (
            "Chart.yaml".to_owned(),
            format!("# {MARK}\n{}", about(options, project)?),
        ),
        (
            "values.yaml".to_owned(),
            format!("# {MARK}\n{}", values::commented(&values)),
        ),
        (SCHEMA.to_owned(), format!("{schema:#}\n")),
    ];
    let here = Kind::of(project, options, other.is_some())?;
    let other = other
        .map(|(project, options)| Kind::of(&project, &options, true))
        .transpose()?;
    for file in FILES.iter().chain(&[NOTES]) {
        let text = match &other {
            None => here.find(file),
            Some(other) if project.has_sidecar() => either(here.find(file), other.find(file)),
            Some(other) => either(other.find(file), here.find(file)),
        };
        files.extend(text.map(|text| {
            (
                format!("templates/{file}"),
                format!("{{{{- /* {MARK} */ -}}}}\n{text}"),
            )
        }));
    }
    Ok(files)
}

/// The file of which Helm shows what comes of it.
const NOTES: &str = "NOTES.txt";

/// The file of which Helm knows what values there are.
const SCHEMA: &str = "values.schema.json";

/// The templates with building blocks in one place.
struct Kind(Vec<(&'static str, String)>);

impl Kind {
    fn of(project: &Project, options: &Options, is_choice: bool) -> Result<Self, Exit> {
        let mut holes = Holes::default();
        let mut templates = Vec::new();
        for (file, mut object) in objects(project, &everything(project, options)) {
            fill(&mut holes, project, file, &mut object)
                .ok_or_else(|| Exit::data(&format!("{file} has not the places that values fill")))?;
            let mut text = explained(file, &holes.template(&object)?);
            for (wrong, message) in refusals(file) {
                text = refused(wrong, message) + &text;
            }
            if is_choice && project.has_data() && file == "statefulset.yaml" {
                let message = "embedded building blocks are one process's: autoscaling.enabled needs dapr.enabled";
                text = refused(".Values.autoscaling.enabled", message) + &text;
            }
            if let Some(condition) = condition(file) {
                text = format!("{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n");
            }
            templates.push((file, text));
        }
        let notes = notes(project, options);
        if !notes.is_empty() {
            let lines = notes.iter().map(|note| format!("- {}\n", escaped(note)));
            templates.push((NOTES, lines.collect()));
        }
        Ok(Self(templates))
    }

    fn find(&self, file: &str) -> Option<String> {
        let mut templates = self.0.iter();
        templates
            .find(|(name, _)| *name == file)
            .map(|(_, text)| text.clone())
    }
}

fn refused(wrong: &str, message: &str) -> String {
    format!("{{{{- if {wrong} }}}}{{{{ fail {message:?} }}}}{{{{ end }}}}\n")
}

/// A file as it is beside a sidecar or without one.
fn either(beside: Option<String>, embedded: Option<String>) -> Option<String> {
    match (beside, embedded) {
        (None, None) => None,
        (Some(beside), Some(embedded)) if beside == embedded => Some(beside),
        (Some(beside), None) => Some(format!("{{{{- if {DAPR} }}}}\n{beside}{{{{- end }}}}\n")),
        (None, Some(embedded)) => Some(format!(
            "{{{{- if not {DAPR} }}}}\n{embedded}{{{{- end }}}}\n"
        )),
        (Some(beside), Some(embedded)) => Some(format!(
            "{{{{- if {DAPR} }}}}\n{beside}{{{{- else }}}}\n{embedded}{{{{- end }}}}\n"
        )),
    }
}

/// The same project with its building blocks in the other place, if it can have them there.
fn other(config: &Config, options: &Options, project: &Project) -> Option<(Project, Options)> {
    if !config.uses_building_blocks() || config.dapr.mode == DaprMode::Sidecar {
        return None;
    }
    let mut other = options.clone();
    other.dapr = !project.has_sidecar();
    if !other.dapr {
        other.replicas = None;
        other.max_replicas = None;
        other.in_flight = None;
    }
    Some((Project::read(config, &other).ok()?, other))
}

/// Options that have every object made, and every place in it that a value fills.
fn everything(project: &Project, options: &Options) -> Options {
    let mut all = options.clone();
    let some = || Some("value".to_owned());
    all.pull_secret = some();
    all.tls_secret = some();
    all.ingress_class = some();
    all.gateway = some();
    all.host = vec!["value".to_owned()];
    all.service_monitor = true;
    all.monitor_label.clear();
    all.env.clear();
    all.env_from.clear();
    all.max_replicas = (!project.has_data()).then_some(values::MOST);
    all.in_flight = all.max_replicas;
    all
}

fn about(options: &Options, project: &Project) -> Result<String, Exit> {
    let [ordinary, with_volume] = KUBERNETES;
    let about = json!({
        "apiVersion": "v2",
        "name": project.name,
        "description": format!("{} on Wasmgate", project.name),
        "type": "application",
        "version": "0.1.0",
        "appVersion": env!("CARGO_PKG_VERSION"),
        "kubeVersion": if options.files.is_some() { with_volume } else { ordinary },
    });
    serde_norway::to_string(&about).map_err(|error| Exit::data(&error))
}
