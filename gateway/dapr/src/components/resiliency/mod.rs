//! Resiliency resources: named policies, and the targets they apply to.

mod written;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use wasmgate_common::{Code, Diagnostic, Place};

use written::{Raw, RawPolicies, RawTarget};

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
    /// Reads what can be read of them, and what is wrong with the others.
    fn read(document: &Document, raw: &RawPolicies) -> (Self, Vec<Diagnostic>) {
        let (mut named, mut errors) = (Self::default(), Vec::new());
        let mut refuse = |mistake: Diagnostic, key: String| {
            let place = Place::of_key(format!("spec.policies.{key}"));
            errors.push(document.locate(mistake.at(place)));
        };
        for (name, text) in &raw.timeouts {
            match parse_duration(text) {
                Ok(timeout) => drop(named.timeouts.insert(name.clone(), timeout)),
                Err(error) => refuse(error.into(), format!("timeouts.{name}")),
            }
        }
        for (name, retry) in &raw.retries {
            match retry.retry() {
                Ok(retry) => drop(named.retries.insert(name.clone(), retry)),
                Err(mistake) => refuse(mistake, format!("retries.{name}")),
            }
        }
        for (name, breaker) in &raw.circuit_breakers {
            match breaker.template(name) {
                Ok(template) => {
                    let template = Arc::new(template);
                    let default = Arc::new(Breakers::new(Arc::clone(&template), CIRCUITS));
                    named.breakers.insert(name.clone(), (template, default));
                }
                Err((key, mistake)) => refuse(mistake, format!("circuitBreakers.{name}.{key}")),
            }
        }
        (named, errors)
    }

    /// The policy of a target by the names that it has, which have to be there.
    fn policy(&self, document: &Document, key: &str, target: &RawTarget, errors: &mut Vec<Diagnostic>) -> Policy {
        fn named<'a, T>(of: &'a HashMap<String, T>, name: Option<&String>) -> Option<&'a T> {
            of.get(name?)
        }
        let timeout = named(&self.timeouts, target.timeout.as_ref());
        let retry = named(&self.retries, target.retry.as_ref());
        let breaker = named(&self.breakers, target.circuit_breaker.as_ref());
        for (kind, name, is_there) in [
            ("timeout", &target.timeout, timeout.is_some()),
            ("retry", &target.retry, retry.is_some()),
            (
                "circuit breaker",
                &target.circuit_breaker,
                breaker.is_some(),
            ),
        ] {
            if let (Some(name), false) = (name, is_there) {
                let message = format!("there is no {kind} {name:?}");
                let help = "define it in spec.policies";
                errors.push(document.error(Code::UnknownName, key, message, help));
            }
        }
        let circuits = target.circuit_breaker_cache_size.filter(|size| *size > 0);
        Policy {
            timeout: timeout.copied(),
            retry: retry.cloned(),
            breakers: breaker.map(|(template, _)| {
                let template = Arc::clone(template);
                Arc::new(Breakers::new(template, circuits.unwrap_or(CIRCUITS)))
            }),
        }
    }

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
        let (named, mut errors) = Named::read(document, &raw.spec.policies);
        let mut policies = |targets: Vec<(&String, String, &RawTarget)>| -> HashMap<String, Policy> {
            let policies = targets.into_iter().map(|(name, key, target)| {
                let policy = named.policy(document, &key, target, &mut errors);
                (name.clone(), policy)
            });
            policies.collect()
        };
        let apps = raw.spec.targets.apps.iter();
        let apps = apps.map(|(name, target)| (name, format!("spec.targets.apps.{name}"), target));
        let components = || raw.spec.targets.components.iter();
        let inbound = components().map(|(name, target)| {
            let key = format!("spec.targets.components.{name}.inbound");
            (name, key, &target.inbound)
        });
        let outbound = components().map(|(name, target)| {
            let key = format!("spec.targets.components.{name}.outbound");
            (name, key, &target.outbound)
        });
        let (apps, inbound, outbound) = (
            policies(apps.collect()),
            policies(inbound.collect()),
            policies(outbound.collect()),
        );
        if !errors.is_empty() {
            return Err(errors);
        }
        self.sets.push(Set {
            scopes: Scopes(raw.scopes),
            apps,
            inbound,
            outbound,
            named,
        });
        Ok(())
    }
}
