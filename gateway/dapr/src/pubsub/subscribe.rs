//! Turns the subscriptions of apps and operators into running queues.

use std::{collections::BTreeSet, sync::Arc};

use super::{PubSub, dispatch};
use crate::{
    app::AppId,
    broker::queue,
    components::{Declared, find},
    subscription::{Spec, Subscription},
};

impl PubSub {
    /// Puts the subscriptions `specs` and those declared for `app` in the place of what it had,
    /// and starts to deliver. Unusable ones are logged and left out.
    pub(crate) async fn subscribe(self: &Arc<Self>, app: &AppId, specs: &[Spec]) {
        let most = self.apps.quotas_of(app).subscriptions;
        if specs.len() > most {
            let (wanted, key) = (specs.len(), "subscriptions");
            tracing::error!(app_id = %app, wanted, most, key, "the subscriptions beyond the app's quota are left out");
        }
        let (mut subscriptions, mut left_out) = (Vec::new(), BTreeSet::new());
        let mut leave_out = |spec: &Spec, reason: String| {
            left_out.insert((format!("{}/{}", spec.pubsubname, spec.topic), reason));
        };
        for spec in specs.iter().take(most) {
            let granted = self.check_grant(app, spec);
            match granted.and_then(|()| self.check_subscription(app, spec)) {
                Ok(mut subscription) => {
                    if let Some(reason) = self.keep_to_grants(app, &mut subscription) {
                        leave_out(spec, reason);
                    }
                    subscriptions.push(subscription);
                }
                Err(reason) => leave_out(spec, reason),
            }
        }
        let components = self.components.load();
        let declared = components.subscriptions.iter();
        for Declared { spec, scopes } in declared.filter(|declared| declared.scopes.include(app)) {
            let (pubsub, topic) = (&spec.pubsubname, &spec.topic);
            // Without scopes it is for the apps that are granted its topic, and if none is, for all that may have it.
            let is_for_others = scopes.0.is_empty()
                && self.apps.is_granted_topic(pubsub, topic)
                && self.check_grant(app, spec).is_err();
            if is_for_others {
                tracing::debug!(app_id = %app, %pubsub, %topic, "a subscription is for those with a grant");
                continue;
            }
            match self.check_subscription(app, spec) {
                Ok(subscription) => subscriptions.push(subscription),
                Err(reason) if scopes.0.is_empty() => {
                    tracing::debug!(app_id = %app, %topic, %reason, "a subscription is not for this app");
                }
                Err(reason) => leave_out(spec, reason),
            }
        }
        self.left_out.tell(app, left_out);
        let events = subscriptions.iter().flat_map(Subscription::paths);
        self.paths.note_events(app, events);
        let queues = self.broker.replace(app, subscriptions);
        for queue in queues {
            let adopted = {
                let queue = queue.clone();
                let adopt = move |conn: &rusqlite::Connection| {
                    let (app, pubsub, topic) = queue.subscription.key();
                    queue::adopt(conn, app, pubsub, topic)
                };
                self.store.write(adopt).await
            };
            if let Err(error) = adopted {
                tracing::error!(%error, "dead letters could not be given to their subscriber");
            }
            self.background.spawn(dispatch::run(self.clone(), queue));
        }
    }

    /// Leaves out a dead-letter topic to which the app may not publish: what it drops would be an event there. What an
    /// operator declares needs no grant. Answers with the reason, if it is so.
    fn keep_to_grants(&self, app: &AppId, subscription: &mut Subscription) -> Option<String> {
        let (pubsub, topic) = (&subscription.pubsub, &subscription.topic);
        let dead = subscription.dead_letter_topic.take_if(|dead| {
            let grants = self.apps.grants_of(app);
            !grants.allows_dead_letters(pubsub, topic, dead)
        })?;
        Some(format!(
            "its dead-letter topic {dead:?} is left out: add publish = [\"{pubsub}/{dead}\"]"
        ))
    }

    /// Refuses a subscription that the app may not have by itself.
    fn check_grant(&self, app: &AppId, spec: &Spec) -> Result<(), String> {
        let (pubsub, topic) = (spec.pubsubname.as_str(), spec.topic.as_str());
        if self.apps.grants_of(app).allows_subscribe(pubsub, topic) {
            return Ok(());
        }
        Err(format!(
            "not granted; add subscribe = [\"{pubsub}/{topic}\"] to [package.{app}.dapr]"
        ))
    }

    fn check_subscription(&self, app: &AppId, spec: &Spec) -> Result<Subscription, String> {
        let (pubsub, topic) = (spec.pubsubname.as_str(), spec.topic.as_str());
        let components = self.components.load();
        let component = find(&components.pubsub, pubsub, app)
            .ok_or_else(|| format!("there is no pub/sub component {pubsub:?} for this app"))?;
        if !component.it.may_subscribe(app, topic) {
            return Err("the component's scopes do not allow it".to_owned());
        }
        Subscription::new(app, spec).map_err(|error| error.to_string())
    }
}
