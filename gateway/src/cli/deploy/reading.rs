//! Paths in a configuration that are elsewhere in a pod, or not there at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use toml::{Table, Value};
use wasmgate::config::{Config, Source};
use wasmgate_common::{Code, Diagnostic, Place};

use super::{super::Exit, document, options::Options, secrets};

/// The project's folder in an image of its own, or where the volume of its files is.
pub(super) const FOLDER: &str = "/app";

/// Keys that name files, or folders of them, which anybody may read.
const PUBLIC_FILES: [&[&str]; 6] = [
    &["package", "*", "files", "*"],
    &["registry", "host", "*", "ca"],
    &["registry", "host", "*", "verify"],
    &["package", "*", "verify"],
    &["package", "*", "tls", "ca"],
    &["package", "*", "tls", "certificate"],
];

/// A project that is read, with what is wrong with it.
pub(super) struct Reading<'c> {
    /// The checked configuration.
    pub(super) config: &'c Config,
    /// What is asked for.
    pub(super) options: &'c Options,
    /// The folder of the configuration.
    pub(super) folder: &'c Path,
    /// What no pod could have.
    pub(super) mistakes: Vec<Diagnostic>,
}

impl Reading<'_> {
    /// Notes a mistake at a key of the configuration.
    pub(super) fn refuse(&mut self, key: &str, code: Code, message: impl Into<String>, help: impl Into<String>) {
        let place = Place::in_file(self.config.file.as_path().into(), None, key);
        self.mistakes
            .push(Diagnostic::new(code, message, help).at(place));
    }

    /// The component files, which are the YAML files of their folder.
    pub(super) fn components(&mut self) -> Result<BTreeMap<String, String>, Exit> {
        let mut found = BTreeMap::new();
        let Some(folder) = &self.config.dapr.components else {
            return Ok(found);
        };
        let unreadable = |error: std::io::Error| Exit::data(&format!("{}: {error}", folder.display()));
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let is_yaml = path
                .extension()
                .is_some_and(|end| end == "yaml" || end == "yml");
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if !is_yaml || name.starts_with('.') || !path.is_file() {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(unreadable)?;
            self.mistakes.extend(secrets::of_component(&path, &text));
            if name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            {
                found.insert(name.to_owned(), text);
            } else {
                let wrong = Diagnostic::new(
                    Code::InvalidValue,
                    "a ConfigMap has no key of this name",
                    "name the file with letters, digits, \"-\", \"_\" and \".\" alone",
                );
                let place = Place::in_file(path.as_path().into(), None, "");
                self.mistakes.push(wrong.at(place));
            }
        }
        Ok(found)
    }

    /// Each source as the pod finds it; no pod builds.
    pub(super) fn packages(&mut self, document: &mut Table) {
        document::each(
            document,
            &["package", "*", "build"],
            "",
            &mut |table, key, _| {
                table.remove(key);
            },
        );
        for package in &self.config.packages {
            let wrong = match &package.source {
                Source::Registry(reference) if reference.is_local() => Diagnostic::new(
                    Code::Unsupported,
                    format!(
                        "package {}: no pod reaches a registry on this machine",
                        package.name
                    ),
                    "push the component to a registry that the cluster reaches, and name that",
                ),
                Source::File(file) if !self.options.has_files() => Diagnostic::new(
                    Code::Unsupported,
                    format!(
                        "package {}: {} is a file of this machine, which no pod has",
                        package.name,
                        file.display()
                    ),
                    "put it into a registry with `wasmgate push` and name that as oci://…, or build an image of the \
                     project and name it by --image, or by --files if it is without a gateway",
                ),
                Source::File(_) => {
                    let name = package.name.as_str();
                    document::each(
                        document,
                        &["package", name, "source"],
                        "",
                        &mut |table, key, name| {
                            self.move_file(table, key, &name);
                        },
                    );
                    continue;
                }
                _ => continue,
            };
            let wrong = self.config.at_source(package, wrong);
            self.mistakes.push(wrong);
        }
    }

    /// What the configuration names of files beside components.
    pub(super) fn files(&mut self, document: &mut Table) {
        let refused = |name: &str| format!("`{name}` names a file of this machine, which no pod has");
        for path in PUBLIC_FILES {
            document::each(document, path, "", &mut |table, key, name| {
                if self.options.has_files() || is_absolute(table, key) {
                    self.move_file(table, key, &name);
                } else {
                    let help = "build an image of the project with it and name that by --image, or write the absolute \
                                path of a volume that the pod has";
                    self.refuse(&name, Code::Unsupported, refused(&name), help);
                }
            });
        }
        document::each(
            document,
            &["package", "*", "tls", "key"],
            "",
            &mut |table, key, name| {
                if !is_absolute(table, key) {
                    let help = "a private key goes into no image: write the absolute path of a Secret's volume";
                    self.refuse(&name, Code::Unsupported, refused(&name), help);
                }
            },
        );
        document::each(
            document,
            &["registry", "host", "*", "credentials"],
            "",
            &mut |table, key, name| {
                if self.options.pull_secret.is_some() {
                    table.remove(key);
                } else {
                    let help =
                        "make a Secret of it (`kubectl create secret docker-registry`) and name that by --pull-secret";
                    self.refuse(&name, Code::Unsupported, refused(&name), help);
                }
            },
        );
        document::each(document, &["server", "tls"], "", &mut |_, _, name| {
            let message = "the objects lead to a listener that speaks plain HTTP";
            let help = "leave [server.tls] out of what is deployed, and end TLS at the Ingress or Gateway";
            self.refuse(&name, Code::Unsupported, message, help);
        });
    }

    /// Rewrites a path as it is in the image.
    fn move_file(&mut self, table: &mut Table, key: &str, name: &str) {
        let Some(Value::String(text)) = table.get_mut(key) else {
            return;
        };
        if text.starts_with('/') {
            return;
        }
        if text.starts_with("${") {
            let message = format!("{text:?} begins with a variable, so that nobody knows where the image has it");
            let help = format!("write it relative to the project's folder, which the image has at {FOLDER}");
            self.refuse(name, Code::Unsupported, message, help);
            return;
        }
        let path = PathBuf::from(text.as_str());
        if path.components().any(|part| part == Component::ParentDir) {
            let message = format!(
                "{text:?} is outside of the project's folder ({})",
                self.folder.display()
            );
            let help =
                format!("the image has the project at {FOLDER}: name a file in it, or an absolute path of the image");
            self.refuse(name, Code::Unsupported, message, help);
            return;
        }
        *text = format!("{FOLDER}/{}", text.strip_prefix("./").unwrap_or(text));
    }

    /// Variables come from a Secret, and values that are secrets by variables.
    pub(super) fn environment(&mut self, document: &mut Table) {
        for (name, _) in &self.options.env {
            if secrets::is_secret(name) {
                let message =
                    format!("--env {name} is a secret by its name, and everybody who sees pods would read it");
                let help = "make a Secret with this key (`kubectl create secret generic`) and name it by --env-from";
                self.refuse("", Code::Unsupported, message, help);
            }
        }
        document::each(
            document,
            &["package", "*", "env", "*"],
            "",
            &mut |table, key, name| {
                let text = table.get(key).and_then(Value::as_str).unwrap_or_default();
                if secrets::is_secret(key) && !text.is_empty() && !text.contains("${") {
                    let message =
                        format!("{key} is a secret by its name, and everybody who sees ConfigMaps would read it");
                    let help = format!("write {key} = \"${{{key}}}\", and give the Secret that has it by --env-from");
                    self.refuse(&name, Code::Unsupported, message, help);
                }
            },
        );
        if !self.options.env_from.is_empty() {
            return;
        }
        let mut needed = BTreeSet::new();
        document::variables(&Value::Table(document.clone()), &mut needed);
        let given = self.options.env.iter();
        let given: BTreeSet<&String> = given.map(|(name, _)| name).collect();
        document::each(
            document,
            &["dapr", "secret_env"],
            "",
            &mut |table, key, _| {
                let names = table
                    .get(key)
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                needed.extend(names.filter_map(Value::as_str).map(str::to_owned));
            },
        );
        needed.retain(|name| !given.contains(name));
        if !needed.is_empty() {
            let names: Vec<String> = needed.into_iter().collect();
            let message = format!(
                "no pod has the variables of the environment: {}",
                names.join(", ")
            );
            let help = "make a Secret with these keys (`kubectl create secret generic`) and name it by --env-from";
            self.refuse("", Code::MissingKey, message, help);
        }
    }
}

fn is_absolute(table: &Table, key: &str) -> bool {
    table
        .get(key)
        .and_then(Value::as_str)
        .is_some_and(|path| path.starts_with('/'))
}
