//! Combines the results of an event at each package into one for the sidecar.

use serde_json::Value;

use crate::{
    app::{AppId, DeliveryKind, DeliveryResult},
    pubsub::outcome::Outcome,
    sidecar::shared::Shared,
};

/// Returns what the sidecar is told when each app has had its turn: it comes again if anybody needs it.
pub(super) fn joint_status(outcomes: &[(AppId, Outcome)]) -> &'static str {
    if outcomes.iter().any(|(_, outcome)| is_again(outcome)) {
        return "RETRY";
    }
    let dropped = |(_, outcome): &(AppId, Outcome)| matches!(outcome, Outcome::Drop(_));
    if !outcomes.is_empty() && outcomes.iter().all(dropped) {
        "DROP"
    } else {
        "SUCCESS"
    }
}

/// Returns what an event is known by when it comes again: within its topic, source and id are one event's alone
/// (CloudEvents 1.0).
pub(super) fn event_id(pubsub: &str, topic: &str, event: &Value) -> Option<String> {
    let text = |name| event.get(name).and_then(Value::as_str);
    let source = text("source").unwrap_or_default();
    text("id").map(|id| format!("{pubsub}/{topic}/{source}/{id}"))
}

/// Counts what became of an event at one app.
pub(super) fn count(shared: &Shared, app: &AppId, outcome: &Outcome) {
    let result = match outcome {
        Outcome::Done => DeliveryResult::Done,
        Outcome::Retry(_) => DeliveryResult::Retry,
        Outcome::Drop(_) | Outcome::Park(_) => DeliveryResult::Dropped,
        Outcome::Expired => DeliveryResult::Expired,
        Outcome::Unreachable(_) => DeliveryResult::Unreachable,
    };
    shared.channel.settled(app, DeliveryKind::Event, result);
}

/// Returns whether an app is to get its event again.
fn is_again(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry(_) | Outcome::Unreachable(_))
}

/// Notes who has taken an event that comes again, or that it does not.
pub(super) fn remember(shared: &Shared, id: &str, status: &str, outcomes: Vec<(AppId, Outcome)>) {
    let mut delivered = shared.delivered.lock();
    if status == "RETRY" {
        let done = outcomes
            .into_iter()
            .filter(|(_, outcome)| !is_again(outcome));
        delivered.remember(id, done.map(|(app, _)| app));
    } else {
        delivered.forget(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sidecar::delivered::Delivered;

    fn app(name: &str) -> AppId {
        AppId::new(name).unwrap()
    }

    #[test]
    fn one_retry_brings_the_event_back_and_the_others_are_remembered() {
        let retry = Outcome::Retry(String::new());
        let drop = Outcome::Drop(String::new());
        assert_eq!(
            joint_status(&[(app("a"), Outcome::Done), (app("b"), retry)]),
            "RETRY"
        );
        assert_eq!(
            joint_status(&[(app("a"), Outcome::Done), (app("b"), drop.clone())]),
            "SUCCESS"
        );
        assert_eq!(joint_status(&[(app("a"), drop)]), "DROP");
        assert_eq!(joint_status(&[]), "SUCCESS");
        let mut delivered = Delivered::default();
        delivered.remember("1", [app("a")]);
        assert!(delivered.has("1", &app("a")) && !delivered.has("1", &app("b")));
        delivered.forget("1");
        assert!(!delivered.has("1", &app("a")));
    }
}
