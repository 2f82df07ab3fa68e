//! The grants of a package: what it may use. An absent grant is denied.

mod globs;

use serde::Deserialize;

use globs::TOPIC_WILDCARDS;
pub use globs::{Glob, Globs, GrantError};

use crate::quotas::Quotas;

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
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// State stores.
    pub state: Globs,
    /// Topics it may publish to.
    pub publish: Globs,
    /// Topics it may subscribe to by itself. What an operator declares in a Subscription file needs no grant.
    pub subscribe: Globs,
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
    /// It may schedule jobs (always its own).
    pub jobs: bool,
    /// How much it may keep; without one, what [`Settings::quotas`](crate::Settings::quotas) say.
    #[serde(skip)]
    pub quotas: Option<Quotas>,
    /// The package has no `dapr` table at all; an empty table grants nothing either, but its package takes
    /// input bindings and what an operator declares for it.
    #[serde(skip)]
    pub no_table: bool,
}

impl Grants {
    /// No grant at all: what a package without a `dapr` table has.
    pub fn none() -> Self {
        Self {
            no_table: true,
            ..Self::default()
        }
    }

    /// Returns whether nothing at all is open, as for a package without a `dapr` table. Such an app can be invoked; it
    /// is asked for neither subscriptions nor input bindings.
    pub fn is_none(&self) -> bool {
        self.no_table && !self.jobs && self.lists().iter().all(|(_, globs, _)| globs.is_empty())
    }

    /// Every name by itself: the key of its list, the name, and grants of it alone.
    pub fn singly(&self) -> impl Iterator<Item = (&'static str, &Glob, Self)> {
        self.lists().into_iter().flat_map(|(key, globs, list)| {
            globs.iter().map(move |glob| {
                let mut alone = Self::none();
                *list(&mut alone) = Globs::from_iter([glob.clone()]);
                (key, glob, alone)
            })
        })
    }

    /// The lists: their keys in a package's `dapr` table, what is in them, and where they are.
    fn lists(&self) -> [(&'static str, &Globs, ListOf); 8] {
        [
            ("state", &self.state, |of| &mut of.state),
            ("publish", &self.publish, |of| &mut of.publish),
            ("subscribe", &self.subscribe, |of| &mut of.subscribe),
            ("invoke", &self.invoke, |of| &mut of.invoke),
            ("bindings", &self.bindings, |of| &mut of.bindings),
            ("secrets", &self.secrets, |of| &mut of.secrets),
            ("configuration", &self.configuration, |of| {
                &mut of.configuration
            }),
            ("lock", &self.lock, |of| &mut of.lock),
        ]
    }

    /// Every grant: for ordinary processes that reach the API over TCP.
    pub fn all() -> Self {
        let every = || Globs::from_iter([Glob::every()]);
        Self {
            state: every(),
            publish: every(),
            subscribe: every(),
            invoke: every(),
            bindings: every(),
            secrets: every(),
            configuration: every(),
            lock: every(),
            jobs: true,
            quotas: None,
            no_table: false,
        }
    }

    /// Returns whether state store `store` is open.
    pub fn allows_state(&self, store: &str) -> bool {
        self.state.matches(store)
    }

    /// Returns whether the package may publish to `topic` of `pubsub`.
    pub fn allows_publish(&self, pubsub: &str, topic: &str) -> bool {
        self.publish.matches_item(pubsub, topic)
    }

    /// Returns whether what the package drops of `topic` may go to topic `dead`: it may publish there, or that topic is
    /// by its name the first one's own (`orders-dead`, `orders.dlq` or `orders-poison` of `orders`).
    pub fn allows_dead_letters(&self, pubsub: &str, topic: &str, dead: &str) -> bool {
        let rest = dead.strip_prefix(topic).unwrap_or_default();
        let says_so = |rest: &str| {
            let rest = rest.to_ascii_lowercase();
            ["dead", "dlq", "poison"]
                .iter()
                .any(|word| rest.starts_with(word))
        };
        let is_its_own = rest.starts_with(['-', '_', '.', '/']) && rest.get(1..).is_some_and(says_so);
        is_its_own || self.allows_publish(pubsub, dead)
    }

    /// Returns whether the package may subscribe to `topic` of `pubsub`.
    pub fn allows_subscribe(&self, pubsub: &str, topic: &str) -> bool {
        self.subscribe.covers(pubsub, topic, TOPIC_WILDCARDS)
    }

    /// Returns whether the package may invoke `app_id`.
    pub fn allows_invoke(&self, app_id: &str) -> bool {
        self.invoke.matches(app_id)
    }

    /// Returns whether output binding `name` is open.
    pub fn allows_binding(&self, name: &str) -> bool {
        self.bindings.matches(name)
    }

    /// Returns whether secret `key` of `store` is open.
    pub fn allows_secret(&self, store: &str, key: &str) -> bool {
        self.secrets.matches_item(store, key)
    }

    /// Returns whether configuration item `key` of `store` is open.
    pub fn allows_configuration(&self, store: &str, key: &str) -> bool {
        self.configuration.matches_item(store, key)
    }

    /// Returns whether any secret of `store` is open.
    pub fn sees_secrets(&self, store: &str) -> bool {
        self.secrets.touch(store)
    }

    /// Returns whether any configuration item of `store` is open.
    pub fn sees_configuration(&self, store: &str) -> bool {
        self.configuration.touch(store)
    }

    /// Returns whether anything of the component `name` of Dapr's type `kind` (`state.redis`) is open.
    pub fn sees_component(&self, kind: &str, name: &str) -> bool {
        let (block, _) = kind.split_once('.').unwrap_or((kind, ""));
        match block {
            "state" => self.allows_state(name),
            "pubsub" => self.subscribe.touch(name) || self.publish.touch(name),
            "secretstores" => self.sees_secrets(name),
            "configuration" => self.sees_configuration(name),
            "lock" => self.allows_lock(name),
            "bindings" => self.allows_binding(name),
            _ => false,
        }
    }

    /// Returns whether lock store `store` is open.
    pub fn allows_lock(&self, store: &str) -> bool {
        self.lock.matches(store)
    }

    /// Returns whether the package may schedule jobs.
    pub fn allows_jobs(&self) -> bool {
        self.jobs
    }
}

/// Finds one of the lists.
type ListOf = fn(&mut Grants) -> &mut Globs;

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
        assert!(!Grants::default().allows_subscribe("pubsub", "t"));
        assert!(Grants::all().allows_subscribe("pubsub", "#"));
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
    fn a_name_with_wildcards_needs_a_grant_that_covers_all_it_may_mean() {
        let grants = Grants {
            secrets: globs(&["vault/?", "vault/db-*", "whole", "every/*", "exact/a*"]),
            ..Grants::none()
        };
        for (store, key) in [("vault", "*"), ("vault", "d*"), ("vault", "db-?")] {
            assert!(!grants.allows_secret(store, key), "{store}/{key}");
        }
        for (store, key) in [
            ("whole", "*"),
            ("every", "a.>"),
            ("exact", "a*"),
            ("vault", "db-#"),
        ] {
            assert!(grants.allows_secret(store, key), "{store}/{key}");
        }
        let grants = Grants {
            subscribe: globs(&["bus/?", "bus/a.*"]),
            ..Grants::none()
        };
        assert!(!grants.allows_subscribe("bus", ">") && !grants.allows_subscribe("bus", "a.#"));
        assert!(grants.allows_subscribe("bus", "a.*") && grants.allows_subscribe("bus", "a.b"));
    }

    #[test]
    fn dead_letters_go_to_a_topics_own_or_where_the_package_may_publish() {
        let grants = Grants {
            publish: globs(&["bus/graves"]),
            ..Grants::none()
        };
        for dead in ["graves", "orders-dead", "orders.DLQ", "orders/dead-letters"] {
            assert!(grants.allows_dead_letters("bus", "orders", dead), "{dead}");
        }
        for dead in [
            "invoices",
            "orders-placed",
            "ordersdead",
            "orders",
            "orders-",
            "orders-é",
        ] {
            assert!(!grants.allows_dead_letters("bus", "orders", dead), "{dead}");
        }
    }

    #[test]
    fn every_grant_is_told_by_itself() {
        let grants = Grants {
            state: globs(&["a", "b*"]),
            lock: globs(&["c"]),
            ..Grants::none()
        };
        let told: Vec<_> = grants
            .singly()
            .map(|(key, glob, _)| (key, glob.as_str()))
            .collect();
        assert_eq!(told, [("state", "a"), ("state", "b*"), ("lock", "c")]);
        let alone: Vec<_> = grants.singly().map(|(_, _, alone)| alone).collect();
        assert!(alone[1].allows_state("bb") && !alone[1].allows_state("a") && !alone[1].allows_lock("c"));
        assert!(alone[2].allows_lock("c") && !alone[2].allows_state("c"));
    }

    #[test]
    fn an_empty_name_is_refused() {
        assert!(Globs::new([""]).is_err());
        assert!(serde_json::from_str::<Grants>(r#"{"stat":["x"]}"#).is_err());
    }
}
