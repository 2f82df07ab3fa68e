//! Resiliency resources: named policies, and the targets they apply to.

mod written;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use wasmgate_common::{Code, Diagnostic, Place};

use written::{Raw, RawTarget};

use super::{
    Scopes,
    document::Document,
    policy::{Policy, Retry},
};
use crate::{
    app::AppId,
    breaker::{Breakers, Template},
    time::parse_duration,
};

/// Circuits of one app to one target at most, unless `circuitBreakerCacheSize` says it: each method has one.
const CIRCUITS: usize = 100;

/// Types of components, as the names of default policies have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComponentType {
    State,
    PubSub,
    Binding,
    Secrets,
    Configuration,
    Lock,
}

impl ComponentType {
    fn name(self) -> &'static str {
        match self {
            Self::State => "Statestore",
            Self::PubSub => "Pubsub",
            Self::Binding => "Binding",
            Self::Secrets => "Secretstore",
            Self::Configuration => "Configuration",
            Self::Lock => "Lock",
        }
    }
}

/// The policies of all targets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resiliency {
    sets: Vec<Set>,
}

#[derive(Clone, Debug)]
struct Set {
    scopes: Scopes,
    apps: HashMap<String, Policy>,
    inbound: HashMap<String, Policy>,
    outbound: HashMap<String, Policy>,
    named: Named,
}

/// All policies by name.
#[derive(Clone, Debug, Default)]
struct Named {
    timeouts: HashMap<String, Duration>,
    retries: HashMap<String, Retry>,
    /// Each with the circuits of the targets that have it by default.
    breakers: HashMap<String, (Arc<Template>, Arc<Breakers>)>,
}

impl Named {
    /// Returns the policy of a target that is not named, by the names that Dapr has for such: the first of `levels` for
    /// which there is one, or one for everything.
    fn default_of(&self, levels: &[&str]) -> Policy {
        fn pick<'a, T>(of: &'a HashMap<String, T>, levels: &[&str], policy: &str) -> Option<&'a T> {
            let mut levels = levels.iter().chain(&[""]);
            levels.find_map(|level| of.get(&format!("Default{level}{policy}Policy")))
        }
        let breaker = pick(&self.breakers, levels, "CircuitBreaker");
        Policy {
            timeout: pick(&self.timeouts, levels, "Timeout").copied(),
            retry: pick(&self.retries, levels, "Retry").cloned(),
            breakers: breaker.map(|(_, breakers)| Arc::clone(breakers)),
        }
    }
}

impl Resiliency {
    /// Returns the policy when `caller` invokes `app`.
    pub(crate) fn app(&self, caller: &AppId, app: &str) -> Policy {
        self.find(caller, |set| set.apps.get(app), &["App"])
    }

    /// Returns the policy when a component delivers to `app`.
    pub(crate) fn inbound(&self, app: &AppId, kind: ComponentType, component: &str) -> Policy {
        if self.sets.is_empty() {
            return Policy::default();
        }
        let own = format!("{}ComponentInbound", kind.name());
        let levels = [&own, "ComponentInbound", "Component"];
        self.find(app, |set| set.inbound.get(component), &levels)
    }

    /// Returns the policy when `app` uses a component.
    pub(crate) fn outbound(&self, app: &AppId, kind: ComponentType, component: &str) -> Policy {
        if self.sets.is_empty() {
            return Policy::default();
        }
        let own = format!("{}ComponentOutbound", kind.name());
        let levels = [&own, "ComponentOutbound", "Component"];
        self.find(app, |set| set.outbound.get(component), &levels)
    }

    fn find<'a>(&'a self, app: &AppId, pick: impl Fn(&'a Set) -> Option<&'a Policy>, levels: &[&str]) -> Policy {
        let sets = || self.sets.iter().filter(|set| set.scopes.include(app));
        if let Some(policy) = sets().find_map(pick) {
            return policy.clone();
        }
        let mut defaults = sets().map(|set| set.named.default_of(levels));
        defaults
            .find(|policy| !policy.is_none())
            .unwrap_or_default()
    }

    /// Counts all circuits by app, policy and state.
    pub(crate) fn circuits(&self) -> BTreeMap<(AppId, String, &'static str), u64> {
        let mut counted = BTreeMap::new();
        for set in &self.sets {
            let targets = [&set.apps, &set.inbound, &set.outbound].into_iter();
            let own = targets
                .flat_map(HashMap::values)
                .filter_map(|policy| policy.breakers.as_ref());
            let default = set.named.breakers.values().map(|(_, breakers)| breakers);
            for breakers in own.chain(default) {
                breakers.count(&mut counted);
            }
        }
        counted
    }

    /// Reads one `Resiliency` document into the whole.
    pub(super) fn add(&mut self, document: &Document) -> Result<(), Vec<Diagnostic>> {
        let raw: Raw = document.read_as().map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        let mut timeouts = HashMap::new();
        for (name, text) in &raw.spec.policies.timeouts {
            let key = format!("spec.policies.timeouts.{name}");
            match parse_duration(text) {
                Ok(timeout) => drop(timeouts.insert(name.clone(), timeout)),
                Err(error) => errors.push(document.locate(Diagnostic::from(error).at(Place::of_key(key)))),
            }
        }
        let mut retries = HashMap::new();
        for (name, retry) in &raw.spec.policies.retries {
            match retry.retry() {
                Ok(retry) => drop(retries.insert(name.clone(), retry)),
                Err(mistake) => {
                    let key = format!("spec.policies.retries.{name}");
                    errors.push(document.locate(mistake.at(Place::of_key(key))));
                }
            }
        }
        let mut breakers = HashMap::new();
        for (name, breaker) in &raw.spec.policies.circuit_breakers {
            match breaker.template(name) {
                Ok(template) => {
                    let template = Arc::new(template);
                    let default = Arc::new(Breakers::new(Arc::clone(&template), CIRCUITS));
                    breakers.insert(name.clone(), (template, default));
                }
                Err((key, mistake)) => {
                    let key = format!("spec.policies.circuitBreakers.{name}.{key}");
                    errors.push(document.locate(mistake.at(Place::of_key(key))));
                }
            }
        }
        let mut policy = |key: String, named: &RawTarget| {
            let mut missing = |kind: &str, name: &Option<String>, found: bool| {
                if let (Some(name), false) = (name, found) {
                    let message = format!("there is no {kind} {name:?}");
                    let help = "define it in spec.policies";
                    errors.push(document.error(Code::UnknownName, &key, message, help));
                }
            };
            let timeout = named
                .timeout
                .as_ref()
                .and_then(|name| timeouts.get(name))
                .copied();
            missing("timeout", &named.timeout, timeout.is_some());
            let retry = named
                .retry
                .as_ref()
                .and_then(|name| retries.get(name))
                .cloned();
            missing("retry", &named.retry, retry.is_some());
            let breaker = named
                .circuit_breaker
                .as_ref()
                .and_then(|name| breakers.get(name));
            missing("circuit breaker", &named.circuit_breaker, breaker.is_some());
            let circuits = named.circuit_breaker_cache_size.filter(|size| *size > 0);
            Policy {
                timeout,
                retry,
                breakers: breaker.map(|(template, _)| {
                    let template = Arc::clone(template);
                    Arc::new(Breakers::new(template, circuits.unwrap_or(CIRCUITS)))
                }),
            }
        };
        let mut set = Set {
            scopes: Scopes(raw.scopes),
            apps: HashMap::new(),
            inbound: HashMap::new(),
            outbound: HashMap::new(),
            named: Named::default(),
        };
        for (name, target) in &raw.spec.targets.apps {
            set.apps.insert(
                name.clone(),
                policy(format!("spec.targets.apps.{name}"), target),
            );
        }
        for (name, target) in &raw.spec.targets.components {
            let key = format!("spec.targets.components.{name}");
            set.inbound.insert(
                name.clone(),
                policy(format!("{key}.inbound"), &target.inbound),
            );
            set.outbound.insert(
                name.clone(),
                policy(format!("{key}.outbound"), &target.outbound),
            );
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        set.named = Named {
            timeouts,
            retries,
            breakers,
        };
        self.sets.push(set);
        Ok(())
    }
}
