//! The JSON schema of a chart's values, with which Helm rejects what is missing or what Kubernetes would not accept.

use serde_json::{Map, Value, json};

use super::{
    super::{options::ACCESS_MODES, output::MARK},
    values::join,
};

/// What is taken, by the values' keys.
const PATTERNS: [(&str, &str); 11] = [
    ("cache.size", SIZE),
    ("files", IMAGE),
    ("httpRoute.gateway", NAME),
    ("httpRoute.namespace", NAME_OR_NONE),
    ("image", IMAGE),
    ("ingress.className", NAME),
    ("ingress.tlsSecret", NAME_OR_NONE),
    ("monitoring.namespace", LABEL),
    ("pullSecret", NAME_OR_NONE),
    ("storage.className", NAME_OR_NONE),
    ("storage.size", SIZE),
];
const SIZE: &str = "^[1-9][0-9]*(Mi|Gi|Ti)$";
const IMAGE: &str = "^[A-Za-z0-9][A-Za-z0-9._/:@-]*$";
/// DNS labels with dots between them, and one alone (RFC 1123).
const NAME: &str = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";
const NAME_OR_NONE: &str = "^([a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*)?$";
const LABEL: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
/// A name, or all those below one.
const HOST: &str = "^([*][.])?[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";
const ADDRESS: &str = "^[0-9.]+$";
/// A variable of the environment.
const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
/// What is written into the configuration's text as it is.
const SOURCE: &str = "^oci://[A-Za-z0-9._/:@${}#+~=-]+$";

/// The longest name of most objects (Kubernetes, "Object Names and IDs"), and more than any image's.
const MAX_NAME: u32 = 253;

/// The schema of values: of their types, each of them and no others.
pub(super) fn schema(values: &Value) -> Value {
    let mut schema = of(values, "");
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        // Helm's own, where the chart is a part of another.
        properties.insert("global".to_owned(), json!({"type": "object"}));
    }
    if let Some(fields) = schema.as_object_mut() {
        fields.insert(
            "$schema".to_owned(),
            "http://json-schema.org/draft-07/schema#".into(),
        );
        fields.insert("$comment".to_owned(), MARK.into());
    }
    schema
}

fn of(value: &Value, path: &str) -> Value {
    match (path, value) {
        ("resources", _) => json!({"type": "object"}),
        ("monitoring.labels", _) => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        ("extraEnv", _) => json!({"type": "array", "items": variable()}),
        ("hosts", _) => json!({"type": "array", "items": named(HOST, json!({"not": {"pattern": ADDRESS}}))}),
        ("envFrom", _) => json!({"type": "array", "items": named(NAME, json!({}))}),
        ("storage.accessMode", _) => json!({"enum": ACCESS_MODES}),
        ("autoscaling.inFlight", _) => json!({"type": "integer", "minimum": 0}),
        (_, Value::Object(fields)) => object(fields, path),
        (_, Value::Bool(_)) => json!({"type": "boolean"}),
        (_, Value::Number(_)) => json!({"type": "integer", "minimum": 1}),
        _ if path.starts_with("packages.") => json!({"type": "string", "pattern": SOURCE}),
        _ => match PATTERNS.iter().find(|(of, _)| *of == path) {
            Some((_, pattern)) => named(pattern, json!({})),
            None => json!({"type": "string", "maxLength": MAX_NAME}),
        },
    }
}

/// All keys are there unless somebody takes one away, by null.
fn object(fields: &Map<String, Value>, path: &str) -> Value {
    let properties = fields
        .iter()
        .map(|(key, value)| (key.clone(), of(value, &join(path, key))));
    let properties: Map<String, Value> = properties.collect();
    let keys: Vec<&String> = fields.keys().collect();
    json!({"type": "object", "additionalProperties": false, "required": keys, "properties": properties})
}

fn named(pattern: &str, more: Value) -> Value {
    let mut schema = json!({"type": "string", "pattern": pattern, "maxLength": MAX_NAME});
    if let (Some(fields), Value::Object(more)) = (schema.as_object_mut(), more) {
        fields.extend(more);
    }
    schema
}

/// One of a container's variables, as Kubernetes has it.
fn variable() -> Value {
    let name = json!({"type": "string", "pattern": VARIABLE});
    let properties = json!({"name": name, "value": {"type": "string"}, "valueFrom": {"type": "object"}});
    json!({"type": "object", "required": ["name"], "additionalProperties": false, "properties": properties})
}
