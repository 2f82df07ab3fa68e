//! What the resource YAML defines for others: the components of each app, and the paths on which apps are called.

use wasmgate_common::path::lenient;

use crate::{
    app::AppId,
    bindings,
    components::{Components, Scopes},
    grants::Grants,
    internal::path_of,
    subscription::Subscription,
};

/// The components and subscriptions of a folder of resource YAML, or those that there are without one.
#[derive(Debug)]
pub struct Outline(Components);

impl Outline {
    pub(super) fn new(components: Components) -> Self {
        Self(components)
    }

    /// Type and name of every component, and whether `app` is among its scopes.
    pub fn components(&self, app: &AppId) -> Vec<(&str, &str, bool)> {
        let all = self.0.all().into_iter();
        all.map(|(name, kind, scopes)| (kind, name, scopes.include(app)))
            .collect()
    }

    /// Returns whether `path`, as `app` would see it, is one by which the YAML has the app called: of an input binding,
    /// or of a subscription.
    pub fn calls(&self, app: &AppId, grants: &Grants, path: &str) -> bool {
        let path = lenient(path);
        let is_it = |own: &str| path_of(own) == path;
        let declared = self.0.subscriptions.iter().filter(|declared| {
            let spec = &declared.spec;
            let is_granted = || grants.allows_subscribe(&spec.pubsubname, &spec.topic);
            declared.scopes.include(app) && (!declared.scopes.0.is_empty() || is_granted())
        });
        let mut subscriptions = declared.filter_map(|declared| Subscription::new(app, &declared.spec).ok());
        let mut is_events = || subscriptions.any(|subscription| subscription.paths().any(is_it));
        let inputs = bindings::inputs(&self.0, app);
        inputs.iter().any(|(_, path, _)| is_it(path)) || is_events()
    }

    /// A sentence for each name in the YAML that stands for nothing, where `apps` are all that there are.
    pub fn unmet(&self, apps: &[&str]) -> Vec<String> {
        let closed = |scopes: &Scopes| {
            let names = &scopes.0;
            let is_there = |name: &String| apps.contains(&name.as_str());
            (!names.is_empty() && !names.iter().any(is_there)).then(|| names.join(", "))
        };
        let mut found = Vec::new();
        for (name, _, scopes) in self.0.all() {
            if let Some(names) = closed(scopes) {
                found.push(format!(
                    "component {name} is open to no package: its scopes name {names}"
                ));
            }
        }
        for declared in &self.0.subscriptions {
            let (pubsub, topic) = (&declared.spec.pubsubname, &declared.spec.topic);
            if !self.0.pubsub.contains_key(pubsub) {
                found.push(format!(
                    "the subscription to {pubsub}/{topic} brings nothing: there is no pub/sub component {pubsub:?}"
                ));
            }
            if let Some(names) = closed(&declared.scopes) {
                found.push(format!(
                    "the subscription to {pubsub}/{topic} is for no package: its scopes name {names}"
                ));
            }
        }
        for store in self.0.state.values() {
            if let Some(outbox) = &store.it.outbox
                && !self.0.pubsub.contains_key(&outbox.pubsub)
            {
                let (name, pubsub) = (&store.name, &outbox.pubsub);
                found.push(format!(
                    "component {name} cannot publish its transactions: there is no pub/sub component {pubsub:?}"
                ));
            }
        }
        found
    }
}
