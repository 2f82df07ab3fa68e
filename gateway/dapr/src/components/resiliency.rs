//! Resiliency resources: named policies, and the targets they apply to.

use std::{collections::HashMap, ops::RangeInclusive, sync::Arc, time::Duration};

use serde::Deserialize;
use wasmgate_common::{Code, Diagnostic, Place};

use super::{
    Scopes,
    document::Document,
    policy::{Policy, Retry},
};
use crate::{
    app::AppId,
    back_off::BackOff,
    breaker::{Breakers, Template},
    subscription::rules::Condition,
    time::parse_duration,
};

/// Circuits of one app to one target at most, unless `circuitBreakerCacheSize` says it: each method has one.
const CIRCUITS: usize = 100;

/// The condition by which a circuit breaker opens unless it says so itself.
const TRIP: &str = "consecutiveFailures > 5";

/// The time that a circuit breaker stays open unless it says so itself.
const OPEN: Duration = Duration::from_secs(60);

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

#[derive(Deserialize)]
struct Raw {
    spec: RawSpec,
    #[serde(default)]
    scopes: Vec<String>,
}

#[derive(Deserialize)]
struct RawSpec {
    #[serde(default)]
    policies: RawPolicies,
    #[serde(default)]
    targets: RawTargets,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[serde(rename_all = "camelCase")]
struct RawPolicies {
    circuit_breakers: HashMap<String, RawBreaker>,
    timeouts: HashMap<String, String>,
    retries: HashMap<String, RawRetry>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawRetry {
    policy: Option<String>,
    duration: Option<String>,
    max_interval: Option<String>,
    max_retries: Option<i64>,
    matching: RawMatching,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMatching {
    http_status_codes: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawBreaker {
    max_requests: Option<u32>,
    interval: Option<String>,
    timeout: Option<String>,
    trip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawTargets {
    apps: HashMap<String, RawTarget>,
    components: HashMap<String, RawComponentTarget>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawComponentTarget {
    inbound: RawTarget,
    outbound: RawTarget,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawTarget {
    timeout: Option<String>,
    retry: Option<String>,
    circuit_breaker: Option<String>,
    circuit_breaker_cache_size: Option<usize>,
}

impl RawBreaker {
    /// Dapr's defaults: one request while half-open, counts that never begin anew, open for 60 s after more than five
    /// failures in a row.
    fn template(&self, name: &str) -> Result<Template, (&'static str, Diagnostic)> {
        let duration = |key, text: &Option<String>, default| match text {
            Some(text) => parse_duration(text).map_err(|error| (key, Diagnostic::from(error))),
            None => Ok(default),
        };
        let trip = Condition::new(self.trip.as_deref().unwrap_or(TRIP));
        Ok(Template {
            name: name.to_owned(),
            max_requests: self.max_requests.unwrap_or(1).max(1),
            interval: duration("interval", &self.interval, Duration::ZERO)?,
            timeout: Some(duration("timeout", &self.timeout, OPEN)?)
                .filter(|timeout| !timeout.is_zero())
                .unwrap_or(OPEN),
            trip: trip.map_err(|wrong| {
                let help = "write a condition over requests, totalSuccesses, totalFailures, consecutiveSuccesses and \
                            consecutiveFailures";
                ("trip", Diagnostic::new(Code::InvalidValue, wrong, help))
            })?,
        })
    }
}

impl RawMatching {
    fn statuses(&self) -> Result<Option<Arc<[RangeInclusive<u16>]>>, Diagnostic> {
        let Some(text) = self
            .http_status_codes
            .as_deref()
            .filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let status = |text: &str| {
            text.trim()
                .parse()
                .ok()
                .filter(|status| (100..600).contains(status))
        };
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let range = status(first)?..=status(last)?;
            (!range.is_empty()).then_some(range)
        };
        let parts = text.split(',').filter(|part| !part.is_empty());
        let ranges: Option<Vec<_>> = parts.map(range).collect();
        let ranges = ranges.ok_or_else(|| {
            let message = format!("{text:?} is no list of statuses");
            Diagnostic::new(
                Code::InvalidValue,
                message,
                "write statuses and ranges: 429,500-599",
            )
        })?;
        Ok(Some(ranges.into()))
    }
}

impl RawRetry {
    fn retry(&self) -> Result<Retry, Diagnostic> {
        Ok(Retry {
            back_off: self.back_off()?,
            statuses: self.matching.statuses()?,
        })
    }

    /// Dapr's defaults: constant, 5 s; exponential from 500 ms by 1.5 up to 60 s; for ever.
    fn back_off(&self) -> Result<BackOff, Diagnostic> {
        let duration = |text: &Option<String>, default| match text {
            Some(text) => parse_duration(text).map_err(Diagnostic::from),
            None => Ok(default),
        };
        let max_retries = match self.max_retries {
            None | Some(..0) => None,
            Some(most) => Some(u32::try_from(most).unwrap_or(u32::MAX)),
        };
        match self.policy.as_deref() {
            None | Some("constant") => {
                let pause = duration(&self.duration, Duration::from_secs(5))?;
                Ok(BackOff {
                    first: pause,
                    factor: 1.0,
                    longest: pause,
                    max_retries,
                })
            }
            Some("exponential") => Ok(BackOff {
                first: duration(&self.duration, Duration::from_millis(500))?,
                factor: 1.5,
                longest: duration(&self.max_interval, Duration::from_secs(60))?,
                max_retries,
            }),
            Some(other) => {
                let message = format!("there is no policy {other:?}");
                Err(Diagnostic::new(
                    Code::UnknownName,
                    message,
                    "write constant or exponential",
                ))
            }
        }
    }
}
