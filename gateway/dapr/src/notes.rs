//! Extended metadata: key-value pairs that an app sets, for as long as the process lives.

use std::collections::BTreeMap;

use axum::body::Body;
use parking_lot::Mutex;

use crate::{
    app::AppId,
    error::{ApiError, ApiResult},
    protocol::message::{bytes, no_content},
};

/// The notes of one app at most: each answer about its metadata has them all.
const MAX_NOTES: usize = 100;

/// Their names and values at most, in bytes: they are kept in memory.
const MAX_BYTES: usize = 64 * 1024;

/// The notes of all apps.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<BTreeMap<AppId, BTreeMap<String, String>>>);

impl Notes {
    /// The notes of `app`, by name.
    pub(crate) fn of(&self, app: &AppId) -> BTreeMap<String, String> {
        self.0.lock().get(app).cloned().unwrap_or_default()
    }

    /// Answers a call by which `app` sets the note `name`.
    ///
    /// # Errors
    /// When the body is no text, or the app would have more than it may.
    pub(crate) async fn set(&self, app: &AppId, name: &str, body: Body) -> ApiResult {
        let value = String::from_utf8(bytes(body).await?.to_vec());
        let value = value.map_err(|_| ApiError::malformed("the value is not UTF-8"))?;
        let mut notes = self.0.lock();
        let own = notes.entry(app.clone()).or_default();
        let others = own.iter().filter(|(other, _)| *other != name);
        let length: usize = others
            .clone()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if others.count() >= MAX_NOTES || length + name.len() + value.len() > MAX_BYTES {
            let message =
                format!("an app keeps {MAX_NOTES} items of extended metadata at most, of {MAX_BYTES} bytes together");
            return Err(ApiError::malformed(message));
        }
        own.insert(name.to_owned(), value);
        no_content()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_app_notes_so_much_and_no_more() {
        let (notes, app) = (Notes::default(), AppId::new("a").unwrap());
        let set = async |name: &str, length: usize| {
            notes
                .set(&app, name, Body::from("x".repeat(length)))
                .await
                .is_ok()
        };
        assert!(set("long", MAX_BYTES - 4).await);
        assert!(!set("b", 0).await && set("long", 8).await && set("b", 8).await);
        for number in 2..MAX_NOTES {
            assert!(set(&number.to_string(), 1).await);
        }
        assert!(!set("one more", 1).await && set("b", 9).await);
        assert_eq!(notes.of(&app).len(), MAX_NOTES);
        let other = AppId::new("b").unwrap();
        assert!(notes.set(&other, "c", Body::from("d")).await.is_ok());
        assert_eq!(notes.of(&other), [("c".to_owned(), "d".to_owned())].into());
    }
}
