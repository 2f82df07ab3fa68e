//! A project that is rendered, and what deploy/ has of the same.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::run;

pub(super) const USAGE: i32 = 64;

/// A package of a registry that uses no building block.
pub(super) const PLAIN: &str = r#"
[package.hello]
source = "oci://registry.example.com/team/hello:1"

[[route]]
path = "/hello"
package = "hello"
"#;

/// A package that a build makes, and that keeps state.
pub(super) const KEEPS: &str = r#"
[package.hello]
source = "target/hello.wasm"
build = { command = "false" }
dapr = { state = ["statestore"] }
"#;

pub(super) struct Project(pub(super) TempDir);

impl Project {
    pub(super) fn new(toml: &str) -> Self {
        let project = Self(TempDir::new().unwrap());
        fs::create_dir(project.folder()).unwrap();
        project.write("wasmgate.toml", toml);
        project
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.0.path().join("wasmgate")
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        let path = self.folder().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn run(&self, options: &str) -> Output {
        let mut arguments = vec!["deploy"];
        if !options.contains("--helm") {
            arguments.push("--kubernetes");
        }
        arguments.extend(options.split_whitespace());
        run(&self.folder(), &arguments)
    }

    #[track_caller]
    pub(super) fn text(&self, options: &str) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.run(options);
        assert!(
            status.success(),
            "{options}: {}",
            String::from_utf8_lossy(&stderr)
        );
        String::from_utf8(stdout).unwrap()
    }

    /// The objects by their kinds; the ConfigMap of component files as `Components`.
    #[track_caller]
    pub(super) fn render(&self, options: &str) -> BTreeMap<String, Value> {
        let objects = documents(&self.text(options)).into_iter().map(|object| {
            let is_components = object["metadata"]["name"] == "wasmgate-components";
            let kind = if is_components {
                &json!("Components")
            } else {
                &object["kind"]
            };
            (kind.as_str().unwrap().to_owned(), object.clone())
        });
        objects.collect()
    }

    #[track_caller]
    pub(super) fn refused(&self, options: &str, words: &[&str]) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.run(options);
        let told = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(USAGE), "{options}: {told}");
        assert!(stdout.is_empty(), "{options}");
        for words in words {
            assert!(told.contains(words), "{options}: no {words:?} in {told}");
        }
    }
}

pub(super) fn documents(text: &str) -> Vec<Value> {
    let documents = serde_norway::Deserializer::from_str(text);
    let documents = documents.map(|document| serde::Deserialize::deserialize(document).unwrap());
    documents.collect()
}

/// What a pod reads.
pub(super) fn toml(objects: &BTreeMap<String, Value>) -> toml::Table {
    let text = objects["ConfigMap"]["data"]["wasmgate.toml"].as_str();
    text.unwrap().parse().unwrap()
}

pub(super) fn spec<'o>(objects: &'o BTreeMap<String, Value>, kind: &str) -> &'o Value {
    &objects[kind]["spec"]["template"]["spec"]
}

pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(super) fn shipped_text(file: &str) -> String {
    fs::read_to_string(repository().join("deploy").join(file)).unwrap()
}

/// The one object of a file in deploy/.
pub(super) fn shipped(file: &str) -> Value {
    let [object] = documents(&shipped_text(file)).try_into().unwrap();
    object
}

/// An object without the labels that kustomize puts into those of deploy/.
pub(super) fn without_labels(object: &Value) -> Value {
    let mut object = object.clone();
    let kind = object["kind"].as_str().unwrap().to_owned();
    object["metadata"].as_object_mut().unwrap().remove("labels");
    if ["StatefulSet", "Deployment"].contains(&kind.as_str()) {
        object["spec"].as_object_mut().unwrap().remove("selector");
        let template = object["spec"]["template"]["metadata"].as_object_mut();
        template.unwrap().remove("labels");
    }
    if kind == "Service" {
        object["spec"].as_object_mut().unwrap().remove("selector");
    }
    object
}

pub(super) const COMPONENT: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: statestore}\n\
                         spec: {type: state.sqlite, version: v1, metadata: []}\n";

/// The files below a folder by their names, with their texts.
pub(super) fn texts(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let texts = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    });
    texts.collect()
}
