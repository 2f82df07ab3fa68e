//! The labels of all objects.

use serde_json::{Map, Value, json};

use super::project::Project;

/// Annotations and labels by their names.
pub(super) type Words = Map<String, Value>;

/// The label by which pods are found.
pub(super) fn labels(project: &Project) -> Words {
    let label = (
        "app.kubernetes.io/name".to_owned(),
        project.name.as_str().into(),
    );
    Words::from_iter([label])
}

/// The name and the labels of an object that is called as the project.
pub(super) fn meta(project: &Project) -> Value {
    named(project, "")
}

/// The name, with what is added to it, and the labels of an object.
pub(super) fn named(project: &Project, end: &str) -> Value {
    json!({"name": format!("{}{end}", project.name), "labels": labels(project)})
}

/// Puts a field into an object.
pub(super) fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(key.to_owned(), value);
    }
}
