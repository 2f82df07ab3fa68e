//! Components of each building block, made from their metadata.

use std::collections::HashMap;

use wasmgate_common::{Code, Diagnostic, Place};

use super::{Block, Component, KeyPrefix, KeyedStore, Outbox, PubSub, Scopes, document::ComponentDocument};
use crate::settings::Settings;

/// A component's metadata, references resolved; keys in lower case, as Dapr ignores it.
pub(super) type Metadata = HashMap<String, String>;

/// Puts a component into its building block.
pub(super) fn insert<T>(block: &mut Block<T>, raw: &ComponentDocument, it: T) {
    let name = raw.metadata.name.clone();
    let version = if raw.spec.version.is_empty() {
        "v1".to_owned()
    } else {
        raw.spec.version.clone()
    };
    let scopes = Scopes(raw.scopes.clone());
    let kind = raw.spec.kind.clone();
    block.insert(
        name.clone(),
        Component {
            name,
            kind,
            version,
            scopes,
            it,
        },
    );
}

/// The mistake of a component without the metadata item `name`.
pub(super) fn missing(name: &str) -> Diagnostic {
    Diagnostic::new(Code::MissingKey, "is missing", "add it").at(Place::of_key(format!("spec.metadata.{name}")))
}

pub(super) fn keyed_store(metadata: &Metadata, settings: &Settings) -> Result<KeyedStore, Diagnostic> {
    let namespace = || {
        settings
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned())
    };
    let prefix = match metadata.get("keyprefix").map(String::as_str) {
        None | Some("" | "appid") => KeyPrefix::AppId,
        Some("name") => KeyPrefix::Name,
        Some("namespace") => KeyPrefix::Namespace(namespace()),
        Some("none") => KeyPrefix::None,
        Some(fixed) if fixed.contains("||") => {
            let mistake = Diagnostic::new(
                Code::InvalidValue,
                "may not hold \"||\"",
                "write another prefix",
            );
            return Err(mistake.at(Place::of_key("spec.metadata.keyPrefix")));
        }
        Some(fixed) => KeyPrefix::Fixed(fixed.to_owned()),
    };
    let outbox = match (
        metadata.get("outboxpublishpubsub"),
        metadata.get("outboxpublishtopic"),
    ) {
        (Some(pubsub), Some(topic)) => Some(Outbox {
            pubsub: pubsub.clone(),
            topic: topic.clone(),
        }),
        (None, None) => None,
        (Some(_), None) => return Err(missing("outboxPublishTopic")),
        (None, Some(_)) => return Err(missing("outboxPublishPubsub")),
    };
    Ok(KeyedStore {
        prefix,
        outbox,
        volatile: false,
    })
}

pub(super) fn pubsub(metadata: &Metadata) -> PubSub {
    let list = |text: &str| -> Vec<String> {
        text.split(',')
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let topics = |name| {
        metadata
            .get(name)
            .map(|text| list(text))
            .unwrap_or_default()
    };
    // `app1=topic1,topic2;app2=topic3`
    let scopes = |name| -> HashMap<String, Vec<String>> {
        let text = metadata.get(name).map_or("", String::as_str);
        let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(app, topics)| (app.trim().to_owned(), list(topics)))
            .collect()
    };
    PubSub {
        publishing: scopes("publishingscopes"),
        subscribing: scopes("subscriptionscopes"),
        allowed: topics("allowedtopics"),
        protected: topics("protectedtopics"),
    }
}
