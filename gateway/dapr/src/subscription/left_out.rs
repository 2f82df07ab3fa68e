//! Subscriptions that are ignored for lack of a grant: each is reported once, however often its app is asked.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use crate::app::AppId;

/// What was told of each app's subscriptions: the topic and the reason.
#[derive(Debug, Default)]
pub(crate) struct LeftOut(Mutex<BTreeMap<AppId, BTreeSet<(String, String)>>>);

impl LeftOut {
    /// Logs what is left out of `app`'s subscriptions now and was not before.
    pub(crate) fn tell(&self, app: &AppId, now: BTreeSet<(String, String)>) {
        for (topic, reason) in self.renew(app, now) {
            tracing::error!(app_id = %app, topic, reason, "a subscription is left out");
        }
    }

    fn renew(&self, app: &AppId, now: BTreeSet<(String, String)>) -> Vec<(String, String)> {
        let mut told = self.0.lock();
        let before = told.remove(app).unwrap_or_default();
        let new = now.difference(&before).cloned().collect();
        if !now.is_empty() {
            told.insert(app.clone(), now);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_new_until_it_was_told_and_again_after_it_did_not_hold() {
        let (left_out, app) = (LeftOut::default(), AppId::new("a").unwrap());
        let renew = |topics: &[&str]| -> Vec<String> {
            let reasons = topics
                .iter()
                .map(|topic| ((*topic).to_owned(), "why".to_owned()));
            let new = left_out.renew(&app, reasons.collect());
            new.into_iter().map(|(topic, _)| topic).collect()
        };
        assert_eq!(renew(&["x", "y"]), ["x", "y"]);
        assert_eq!(renew(&["y", "z"]), ["z"]);
        assert_eq!(renew(&["x", "y"]), ["x"]);
        assert!(renew(&[]).is_empty());
        assert_eq!(renew(&["y"]), ["y"]);
    }
}
