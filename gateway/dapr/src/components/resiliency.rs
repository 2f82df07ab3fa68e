//! Resiliency resources: named policies, and the targets they apply to.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;
use wasmgate_common::{Code, Diagnostic, Place};

use super::{Scopes, document::Document};
use crate::{app::AppId, back_off::BackOff, time::parse_duration};

/// The policy of one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Policy {
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<BackOff>,
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
}

impl Resiliency {
    /// Returns the policy when `caller` invokes `app`.
    pub(crate) fn app(&self, caller: &AppId, app: &str) -> Policy {
        self.find(caller, |set| set.apps.get(app))
    }

    /// Returns the policy when a component delivers to `app`.
    pub(crate) fn inbound(&self, app: &AppId, component: &str) -> Policy {
        self.find(app, |set| set.inbound.get(component))
    }

    /// Returns the policy when `app` uses a component.
    pub(crate) fn outbound(&self, app: &AppId, component: &str) -> Policy {
        self.find(app, |set| set.outbound.get(component))
    }

    fn find<'a>(&'a self, app: &AppId, pick: impl Fn(&'a Set) -> Option<&'a Policy>) -> Policy {
        let mut sets = self.sets.iter().filter(|set| set.scopes.include(app));
        sets.find_map(pick).cloned().unwrap_or_default()
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
            match retry.back_off() {
                Ok(retry) => drop(retries.insert(name.clone(), retry)),
                Err(mistake) => {
                    let key = format!("spec.policies.retries.{name}");
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
                .copied();
            missing("retry", &named.retry, retry.is_some());
            Policy { timeout, retry }
        };
        let mut set = Set {
            scopes: Scopes(raw.scopes),
            apps: HashMap::new(),
            inbound: HashMap::new(),
            outbound: HashMap::new(),
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
        if !raw.spec.policies.circuit_breakers.is_empty() {
            let file = document.file.display();
            tracing::warn!(%file, "circuit breakers are the sidecar's business and ignored here");
        }
        if !errors.is_empty() {
            return Err(errors);
        }
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
    circuit_breakers: HashMap<String, serde::de::IgnoredAny>,
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
#[serde(default)]
struct RawTarget {
    timeout: Option<String>,
    retry: Option<String>,
}

impl RawRetry {
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
