//! What a package may reach. A grant that is absent is a grant not given.

use serde::Deserialize;
use wildmatch::WildMatch;

/// The building blocks open to one package, each a list of names with globs (`*` any text, slashes
/// included; `?` one character).
///
/// `publish`, `subscribe`, `secrets` and `configuration` name `component/item`
/// (`"pubsub/orders"`, `"secretstore/db-*"`); a component's name alone stands for all of it.
///
/// ```
/// use wasmgate_dapr::{Globs, Grants};
/// let grants = Grants { state: Globs::new(["statestore"])?, ..Grants::none() };
/// assert!(grants.allows_state("statestore"));
/// assert!(!grants.allows_publish("pubsub", "orders"));
/// # Ok::<(), wasmgate_dapr::GrantError>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// State stores.
    pub state: Globs,
    /// Topics it may publish to.
    pub publish: Globs,
    /// Topics it may subscribe to. Absent means every topic for a package that has any grant.
    pub subscribe: Option<Globs>,
    /// App-ids it may invoke.
    pub invoke: Globs,
    /// Output bindings.
    pub bindings: Globs,
    /// Secrets.
    pub secrets: Globs,
    /// Configuration items.
    pub configuration: Globs,
    /// Lock stores.
    pub lock: Globs,
    /// Whether it may schedule jobs (always its own).
    pub jobs: bool,
}

impl Grants {
    /// No grant at all: what a package without a `dapr` table has.
    pub fn none() -> Self {
        Self {
            subscribe: Some(Globs::default()),
            ..Self::default()
        }
    }

    /// Whether nothing at all is open, as for a package without a `dapr` table. Such an app can be invoked; it is asked
    /// for neither subscriptions nor input bindings.
    pub fn is_none(&self) -> bool {
        let Self {
            state,
            publish,
            subscribe,
            invoke,
            bindings,
            secrets,
            configuration,
            lock,
            jobs,
        } = self;
        let lists = [
            state,
            publish,
            invoke,
            bindings,
            secrets,
            configuration,
            lock,
        ];
        !jobs
            && subscribe.as_ref().is_some_and(Globs::is_empty)
            && lists.into_iter().all(Globs::is_empty)
    }

    /// Every grant: for ordinary processes that reach the API over TCP.
    pub fn all() -> Self {
        let every = || Globs(vec![Glob::new("*")]);
        Self {
            state: every(),
            publish: every(),
            subscribe: None,
            invoke: every(),
            bindings: every(),
            secrets: every(),
            configuration: every(),
            lock: every(),
            jobs: true,
        }
    }

    /// Whether state store `store` is open.
    pub fn allows_state(&self, store: &str) -> bool {
        self.state.matches(store)
    }

    /// Whether the package may publish to `topic` of `pubsub`.
    pub fn allows_publish(&self, pubsub: &str, topic: &str) -> bool {
        self.publish.matches_item(pubsub, topic)
    }

    /// Whether the package may subscribe to `topic` of `pubsub`.
    pub fn allows_subscribe(&self, pubsub: &str, topic: &str) -> bool {
        self.subscribe
            .as_ref()
            .is_none_or(|globs| globs.matches_item(pubsub, topic))
    }

    /// Whether the package may invoke `app_id`.
    pub fn allows_invoke(&self, app_id: &str) -> bool {
        self.invoke.matches(app_id)
    }

    /// Whether output binding `name` is open.
    pub fn allows_binding(&self, name: &str) -> bool {
        self.bindings.matches(name)
    }

    /// Whether secret `key` of `store` is open.
    pub fn allows_secret(&self, store: &str, key: &str) -> bool {
        self.secrets.matches_item(store, key)
    }

    /// Whether configuration item `key` of `store` is open.
    pub fn allows_configuration(&self, store: &str, key: &str) -> bool {
        self.configuration.matches_item(store, key)
    }

    /// Whether lock store `store` is open.
    pub fn allows_lock(&self, store: &str) -> bool {
        self.lock.matches(store)
    }

    /// Whether the package may schedule jobs.
    pub fn allows_jobs(&self) -> bool {
        self.jobs
    }
}

/// A list of names with globs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Globs(Vec<Glob>);

/// Why a list of names is no list of grants.
#[derive(Debug, thiserror::Error)]
#[error("an empty name grants nothing; write the component's name, or \"*\" for every one")]
pub struct GrantError;

impl Globs {
    /// Reads a list of names with globs.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, GrantError> {
        Self::try_from(names.into_iter().map(Into::into).collect::<Vec<_>>())
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|glob| glob.whole.matches(name))
    }

    fn matches_item(&self, component: &str, item: &str) -> bool {
        self.0.iter().any(|glob| glob.matches_item(component, item))
    }
}

impl TryFrom<Vec<String>> for Globs {
    type Error = GrantError;
    fn try_from(names: Vec<String>) -> Result<Self, GrantError> {
        if names.iter().any(|name| name.trim().is_empty()) {
            return Err(GrantError);
        }
        Ok(Self(names.iter().map(|name| Glob::new(name)).collect()))
    }
}

/// One name, also split at its first slash: names of components hold none.
#[derive(Clone, Debug)]
struct Glob {
    whole: WildMatch,
    component: WildMatch,
    item: Option<WildMatch>,
}

impl Glob {
    fn new(name: &str) -> Self {
        let (component, item) = match name.split_once('/') {
            Some((component, item)) => (component, Some(WildMatch::new(item))),
            None => (name, None),
        };
        Self {
            whole: WildMatch::new(name),
            component: WildMatch::new(component),
            item,
        }
    }

    fn matches_item(&self, component: &str, item: &str) -> bool {
        self.component.matches(component)
            && self.item.as_ref().is_none_or(|glob| glob.matches(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(names: &[&str]) -> Globs {
        Globs::new(names.iter().copied()).unwrap()
    }

    #[test]
    fn no_grants_allow_nothing() {
        let none = Grants::none();
        assert!(!none.allows_state("statestore") && !none.allows_subscribe("pubsub", "t"));
        assert!(!none.allows_jobs() && !none.allows_invoke("a") && !none.allows_secret("s", "k"));
    }

    #[test]
    fn an_empty_table_is_more_than_no_table() {
        assert!(Grants::none().is_none());
        assert!(!Grants::default().is_none() && !Grants::all().is_none());
        let jobs = Grants {
            jobs: true,
            ..Grants::none()
        };
        assert!(!jobs.is_none());
    }

    #[test]
    fn a_component_alone_stands_for_all_its_items() {
        let grants = Grants {
            publish: globs(&["pubsub"]),
            ..Grants::none()
        };
        assert!(grants.allows_publish("pubsub", "orders/new"));
        assert!(!grants.allows_publish("pubsub2", "orders"));
    }

    #[test]
    fn an_item_glob_stays_within_its_component() {
        let grants = Grants {
            secrets: globs(&["vault/db-*"]),
            ..Grants::none()
        };
        assert!(grants.allows_secret("vault", "db-password"));
        assert!(!grants.allows_secret("vault", "api-key"));
        assert!(!grants.allows_secret("other", "db-password"));
    }

    #[test]
    fn an_empty_name_is_refused() {
        assert!(Globs::new([""]).is_err());
        assert!(serde_json::from_str::<Grants>(r#"{"stat":["x"]}"#).is_err());
    }
}
