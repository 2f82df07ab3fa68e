//! A package's `dapr` table: which building blocks it may use.

use wasmgate_common::{Code, Diagnostic};

use super::reader::Section;

/// What a package may use. Names may hold `*`, which stands for any run of characters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GrantsConfig {
    /// State stores.
    pub state: Vec<String>,
    /// Topics to publish to, `pubsub/topic`.
    pub publish: Vec<String>,
    /// Topics to subscribe to, `pubsub/topic`; what a Subscription file declares needs none.
    pub subscribe: Vec<String>,
    /// App-ids to invoke.
    pub invoke: Vec<String>,
    /// Bindings.
    pub bindings: Vec<String>,
    /// Secret stores, or single secrets, `store/name`.
    pub secrets: Vec<String>,
    /// Configuration stores.
    pub configuration: Vec<String>,
    /// Lock stores.
    pub lock: Vec<String>,
    /// Whether it may schedule jobs.
    pub jobs: bool,
}

/// The keys of a package's `dapr`.
const GRANT_KEYS: [&str; 9] = [
    "state",
    "publish",
    "subscribe",
    "invoke",
    "bindings",
    "secrets",
    "configuration",
    "lock",
    "jobs",
];

impl GrantsConfig {
    /// Reads a package's table `dapr`.
    pub(super) fn read(package: &Section<'_>) -> Option<Self> {
        let section = package.section("dapr", &GRANT_KEYS)?;
        let names = |key, example| names(&section, key, example, name);
        let topics = |key| self::names(&section, key, "pubsub/orders", topic);
        Some(Self {
            state: names("state", "statestore"),
            publish: topics("publish"),
            subscribe: topics("subscribe"),
            invoke: names("invoke", "product-api"),
            bindings: names("bindings", "mailer"),
            secrets: names("secrets", "secretstore"),
            configuration: names("configuration", "configstore"),
            lock: names("lock", "lockstore"),
            jobs: section.flag("jobs").unwrap_or(false),
        })
    }
}

fn names(
    section: &Section<'_>,
    key: &str,
    example: &str,
    check: fn(&str) -> Result<String, Diagnostic>,
) -> Vec<String> {
    let items = section.texts(key, example).unwrap_or_default();
    items.iter().filter_map(|item| item.parsed(check)).collect()
}

fn name(text: &str) -> Result<String, Diagnostic> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} can be no name"),
            "write a name without spaces; \"*\" stands for any run of characters",
        ));
    }
    Ok(text.to_owned())
}

fn topic(text: &str) -> Result<String, Diagnostic> {
    let text = name(text)?;
    match text.split_once('/') {
        Some((pubsub, topic)) if !pubsub.is_empty() && !topic.is_empty() => Ok(text),
        _ => {
            let pubsub = text.trim_matches('/');
            let pubsub = if pubsub.is_empty() { "*" } else { pubsub };
            Err(Diagnostic::new(
                Code::InvalidValue,
                format!("{text:?} names no topic"),
                format!("write pubsub and topic: \"{pubsub}/orders\", or \"{pubsub}/*\" for all its topics"),
            ))
        }
    }
}
