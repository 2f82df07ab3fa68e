//! Components, subscriptions and resiliency, read from a folder of Dapr's resource YAML.

mod blocks;
mod build;
mod caveats;
mod current;
mod document;
mod policy;
mod resiliency;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher as _},
};

pub(crate) use build::load;
pub(crate) use caveats::{caveats, environment};
pub(crate) use current::Current;
pub(crate) use policy::{Policy, Try};
pub(crate) use resiliency::{ComponentType, Resiliency};

use wasmgate_common::Diagnostics;

use crate::{
    app::AppId,
    providers::{bindings::Binding, configuration::ConfigurationStore, secrets::SecretStore},
    settings::Settings,
    subscription::Spec,
};

/// The apps that may use a component; empty means every app.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scopes(pub(crate) Vec<String>);

impl Scopes {
    pub(crate) fn include(&self, app: &AppId) -> bool {
        self.0.is_empty() || self.0.iter().any(|scope| scope == app.as_str())
    }
}

/// A component of some building block.
#[derive(Debug)]
pub(crate) struct Component<T> {
    pub(crate) name: String,
    /// Dapr's type, as written: `state.sqlite`.
    pub(crate) kind: String,
    pub(crate) version: String,
    pub(crate) scopes: Scopes,
    pub(crate) it: T,
}

/// The components of one building block by name.
pub(crate) type Block<T> = HashMap<String, Component<T>>;

/// The component `name`, if `app` may use it.
pub(crate) fn find<'a, T>(block: &'a Block<T>, name: &str, app: &AppId) -> Option<&'a Component<T>> {
    block
        .get(name)
        .filter(|component| component.scopes.include(app))
}

/// Settings of a state or lock store.
#[derive(Debug)]
pub(crate) struct KeyedStore {
    pub(crate) prefix: KeyPrefix,
    pub(crate) outbox: Option<Outbox>,
    /// Emptied at every start.
    pub(crate) volatile: bool,
}

/// The topic to which a transaction's changes are published with it.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    pub(crate) pubsub: String,
    pub(crate) topic: String,
}

/// The prefix that keeps the keys of apps apart, or together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyPrefix {
    AppId,
    Name,
    Namespace(String),
    None,
    Fixed(String),
}

impl KeyPrefix {
    /// Returns what stands before `app`'s keys in `store`, the separator included.
    pub(crate) fn of(&self, store: &str, app: &AppId) -> String {
        match self {
            Self::AppId => format!("{app}||"),
            Self::Name => format!("{store}||"),
            Self::Namespace(namespace) => format!("{namespace}.{app}||"),
            Self::None => String::new(),
            Self::Fixed(prefix) => format!("{prefix}||"),
        }
    }
}

/// Settings of a pub/sub component.
#[derive(Debug, Default)]
pub(crate) struct PubSub {
    /// `publishingScopes`, `subscriptionScopes`: topics by app-id.
    pub(crate) publishing: HashMap<String, Vec<String>>,
    pub(crate) subscribing: HashMap<String, Vec<String>>,
    /// `allowedTopics`, `protectedTopics`; an empty list restricts nothing.
    pub(crate) allowed: Vec<String>,
    pub(crate) protected: Vec<String>,
}

impl PubSub {
    pub(crate) fn may_publish(&self, app: &AppId, topic: &str) -> bool {
        self.may(&self.publishing, app, topic)
    }

    pub(crate) fn may_subscribe(&self, app: &AppId, topic: &str) -> bool {
        self.may(&self.subscribing, app, topic)
    }

    fn may(&self, scopes: &HashMap<String, Vec<String>>, app: &AppId, topic: &str) -> bool {
        let listed = |topics: &[String]| topics.iter().any(|allowed| allowed == topic);
        if !self.allowed.is_empty() && !listed(&self.allowed) {
            return false;
        }
        match scopes.get(app.as_str()) {
            Some(topics) => listed(topics),
            None => !listed(&self.protected),
        }
    }
}

/// A subscription declared in YAML.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) spec: Spec,
    pub(crate) scopes: Scopes,
}

/// All that the folder says.
#[derive(Debug, Default)]
pub(crate) struct Components {
    pub(crate) state: Block<KeyedStore>,
    pub(crate) pubsub: Block<PubSub>,
    pub(crate) secrets: Block<SecretStore>,
    pub(crate) configuration: Block<ConfigurationStore>,
    pub(crate) locks: Block<KeyedStore>,
    pub(crate) bindings: Block<Binding>,
    pub(crate) subscriptions: Vec<Declared>,
    pub(crate) resiliency: Resiliency,
    /// Tells these from components that say something else.
    pub(crate) fingerprint: u64,
}

impl Components {
    /// Name, type and version of every component that `app` may use, with its capabilities.
    pub(crate) fn list(&self, app: &AppId) -> Vec<(&str, &str, &str, &'static [&'static str])> {
        fn of<'a, T>(
            block: &'a Block<T>,
            app: &AppId,
            capabilities: &'static [&'static str],
        ) -> Vec<(&'a str, &'a str, &'a str, &'static [&'static str])> {
            let visible = block
                .values()
                .filter(|component| component.scopes.include(app));
            visible
                .map(|c| {
                    (
                        c.name.as_str(),
                        c.kind.as_str(),
                        c.version.as_str(),
                        capabilities,
                    )
                })
                .collect()
        }
        let mut all = of(
            &self.state,
            app,
            &["ETAG", "TRANSACTIONAL", "TTL", "QUERY_API"],
        );
        all.extend(of(&self.pubsub, app, &["BULK_PUBSUB"]));
        all.extend(of(&self.secrets, app, &[]));
        all.extend(of(&self.configuration, app, &[]));
        all.extend(of(&self.locks, app, &[]));
        all.extend(of(&self.bindings, app, &[]));
        all.sort_unstable();
        all
    }
}

impl Components {
    /// Name, type and scopes of every component, in the order of their names.
    pub(crate) fn all(&self) -> Vec<(&str, &str, &Scopes)> {
        fn of<T>(block: &Block<T>) -> impl Iterator<Item = (&str, &str, &Scopes)> {
            let components = block.values();
            components.map(|component| {
                (
                    component.name.as_str(),
                    component.kind.as_str(),
                    &component.scopes,
                )
            })
        }
        let all = of(&self.state)
            .chain(of(&self.pubsub))
            .chain(of(&self.secrets));
        let all = all.chain(of(&self.configuration)).chain(of(&self.locks));
        let mut all: Vec<_> = all.chain(of(&self.bindings)).collect();
        all.sort_unstable_by_key(|(name, kind, _)| (*name, *kind));
        all
    }
}

/// Hashes what components are made of.
fn fingerprint(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The components there are when no folder is named.
fn defaults(settings: &Settings) -> Result<Components, Diagnostics> {
    fn one<T>(name: &str, kind: &str, it: T) -> Block<T> {
        let component = Component {
            name: name.to_owned(),
            kind: kind.to_owned(),
            version: "v1".to_owned(),
            scopes: Scopes::default(),
            it,
        };
        HashMap::from([(name.to_owned(), component)])
    }
    let keyed = || KeyedStore {
        prefix: KeyPrefix::AppId,
        outbox: None,
        volatile: false,
    };
    let secrets = SecretStore::local(settings).map_err(|mistake| Diagnostics::new(&settings.data, vec![mistake]))?;
    let configuration = ConfigurationStore::new(settings.data.join("configuration.json"));
    Ok(Components {
        state: one("statestore", "state.sqlite", keyed()),
        pubsub: one("pubsub", "pubsub.in-memory", PubSub::default()),
        fingerprint: fingerprint(&secrets),
        secrets: one("secretstore", "secretstores.local.file", secrets),
        configuration: one("configstore", "configuration.file", configuration),
        locks: one("lockstore", "lock.sqlite", keyed()),
        ..Components::default()
    })
}
