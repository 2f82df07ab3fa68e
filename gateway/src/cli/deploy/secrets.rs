//! Finds secrets that must not be written to a ConfigMap, and files that no pod has.

use std::path::Path;

use serde::Deserialize as _;
use serde_norway::Value;
use wasmgate_common::{Code, Diagnostic, MOST_BRACKETS, Place, is_deep};

/// The ends of names that say that their value is a secret, in lower case and without `_` and `-`.
const SECRET: [&str; 6] = [
    "password",
    "token",
    "secret",
    "apikey",
    "privatekey",
    "connectionstring",
];

/// Returns whether a value is a secret by its name.
pub(super) fn is_secret(name: &str) -> bool {
    let name: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .collect::<String>()
        .to_ascii_lowercase();
    SECRET.iter().any(|end| name.ends_with(end))
}

/// The mistakes of a component file that is to go into a ConfigMap.
pub(super) fn of_component(file: &Path, text: &str) -> Vec<Diagnostic> {
    if is_deep(text) {
        let message = format!("more than {MOST_BRACKETS} brackets stand within each other");
        let wrong = Diagnostic::new(Code::Syntax, message, "no resource needs that");
        return vec![wrong.at(Place::in_file(file.into(), None, ""))];
    }
    let mut mistakes = Vec::new();
    for (at, document) in serde_norway::Deserializer::from_str(text).enumerate() {
        let wrong = match Value::deserialize(document) {
            Ok(document) => of_document(&document),
            // Nobody knows whether there is a secret in it.
            Err(error) => {
                let wrong = Diagnostic::new(Code::Syntax, error.to_string(), "correct the YAML there");
                vec![(String::new(), wrong)]
            }
        };
        let is_unreadable = wrong.iter().any(|(key, _)| key.is_empty());
        let placed = |(key, wrong): (String, Diagnostic)| wrong.at(Place::in_document(file.into(), at + 1, key));
        mistakes.extend(wrong.into_iter().map(placed));
        if is_unreadable {
            // What follows a syntax error cannot be trusted, and may have no end.
            break;
        }
    }
    mistakes
}

fn of_document(document: &Value) -> Vec<(String, Diagnostic)> {
    let spec = document.get("spec");
    let kind = spec.and_then(|spec| spec.get("type")?.as_str());
    if kind == Some("secretstores.local.file") {
        let wrong = Diagnostic::new(
            Code::Unsupported,
            "a file of secrets does not go into a cluster",
            "write secretstores.local.env, and give the Secret that has them by --env-from",
        );
        return vec![("spec.type".to_owned(), wrong)];
    }
    let items = spec.and_then(|spec| spec.get("metadata")?.as_sequence());
    let items = items.into_iter().flatten();
    let root = items.clone().find_map(|item| {
        let is_root = item.get("name")?.as_str()?.eq_ignore_ascii_case("rootPath");
        is_root.then(|| item.get("value")?.as_str()).flatten()
    });
    if let Some(root) = root.filter(|root| kind == Some("bindings.localstorage") && !root.starts_with('/')) {
        let wrong = Diagnostic::new(
            Code::Unsupported,
            format!("{root:?} is beside the component files, where a pod writes nothing"),
            "write an absolute path of the pod's volume, such as /var/lib/wasmgate/files",
        );
        return vec![("spec.metadata.rootPath".to_owned(), wrong)];
    }
    let wrong = items.filter_map(|item| {
        let name = item.get("name")?.as_str().filter(|name| is_secret(name))?;
        let value = item.get("value")?;
        let is_empty = value.is_null() || value.as_str() == Some("");
        let wrong = Diagnostic::new(
            Code::Unsupported,
            format!("{name:?} is a secret by its name, and everybody who sees ConfigMaps would read it"),
            "write `envRef` with the name of a variable in the place of `value`, and give its Secret by --env-from",
        );
        (!is_empty).then(|| (format!("spec.metadata.{name}"), wrong))
    });
    wrong.collect()
}
