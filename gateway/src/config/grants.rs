//! A package's `dapr` table: the building blocks it may use.

use wasmgate_common::{Code, Diagnostic};
use wasmgate_dapr::{Glob, Globs, Grants, Quotas};

use super::{quotas, reader::Section};

/// The keys of a package's `dapr`.
const GRANT_KEYS: [&str; 10] = [
    "state",
    "publish",
    "subscribe",
    "invoke",
    "bindings",
    "secrets",
    "configuration",
    "lock",
    "jobs",
    "quotas",
];

/// Reads a package's table `dapr`, with `defaults` for what its quotas leave open. A package without one has no grant
/// at all.
pub(super) fn read(package: &Section<'_>, defaults: Quotas) -> Grants {
    let Some(section) = package.section("dapr", &GRANT_KEYS) else {
        return Grants::none();
    };
    let names = |key, example| globs(&section, key, example, name);
    let topics = |key| globs(&section, key, "pubsub/orders", topic);
    Grants {
        state: names("state", "statestore"),
        publish: topics("publish"),
        subscribe: topics("subscribe"),
        invoke: names("invoke", "product-api"),
        bindings: names("bindings", "mailer"),
        secrets: names("secrets", "secretstore"),
        configuration: names("configuration", "configstore"),
        lock: names("lock", "lockstore"),
        jobs: section.flag("jobs").unwrap_or(false),
        quotas: Some(quotas::read(&section, defaults)),
        no_table: false,
    }
}

fn globs(section: &Section<'_>, key: &str, example: &str, parse: fn(&str) -> Result<Glob, Diagnostic>) -> Globs {
    let items = section.texts(key, example).unwrap_or_default();
    items.iter().filter_map(|item| item.parsed(parse)).collect()
}

fn name(text: &str) -> Result<Glob, Diagnostic> {
    let is_illegal = |c: char| c.is_whitespace() || c.is_control();
    let glob = Glob::parse(text)
        .ok()
        .filter(|_| !text.contains(is_illegal));
    glob.ok_or_else(|| {
        Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} can be no name"),
            "write a name without spaces; \"*\" stands for any run of characters",
        )
    })
}

fn topic(text: &str) -> Result<Glob, Diagnostic> {
    let glob = name(text)?;
    match text.split_once('/') {
        Some((pubsub, topic)) if !pubsub.is_empty() && !topic.is_empty() => Ok(glob),
        _ => {
            let half = text.trim_matches('/');
            let help = match half {
                "" | "*" => "write pubsub and topic: \"pubsub/orders\", or \"*/*\" for all".to_owned(),
                half => format!(
                    "write pubsub and topic: \"pubsub/{half}\" if it is a topic, \"{half}/*\" if it is a pubsub"
                ),
            };
            Err(Diagnostic::new(
                Code::InvalidValue,
                format!("{text:?} names no topic"),
                help,
            ))
        }
    }
}
