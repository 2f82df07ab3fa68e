//! Separates packages behind one sidecar: state keys, locks and jobs carry the app-id.
//!
//! A state key or lock becomes `{app-id}:{key}`: an app-id contains no colon, so names of two packages never collide. A
//! job becomes `{length}-{app-id}-{name}`, as names of jobs may not contain colons.

use crate::{app::AppId, error::ApiError};

/// Says that an invocation was sent from here, and by which package. A sidecar hands it on to its own app without
/// `dapr-caller-app-id`, so that it would look like an event or a job.
pub(super) const INVOKED_BY: &str = "wasmgate-caller";

/// The names by which the sidecar knows one package's things.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    app: &'a AppId,
    shared: bool,
}

impl<'a> Names<'a> {
    /// The names of `app`, which has the sidecar for itself unless it is `shared`.
    pub(super) fn new(app: &'a AppId, shared: bool) -> Self {
        Self { app, shared }
    }

    pub(super) fn app(&self) -> &'a AppId {
        self.app
    }

    /// Returns whether other packages stand behind the same sidecar.
    pub(super) fn are_shared(&self) -> bool {
        self.shared
    }

    /// The sidecar's name for a state key or a lock.
    ///
    /// # Errors
    /// For a key with `||`, which to the sidecar would be that of another app.
    pub(super) fn key(&self, key: &str) -> Result<String, ApiError> {
        if key.contains("||") {
            let message = format!("key {key:?} may not contain '||'");
            return Err(ApiError::malformed(message));
        }
        // An empty key stays one, so that the sidecar refuses it.
        if self.shared && !key.is_empty() {
            return Ok(format!("{}:{key}", self.app));
        }
        Ok(key.to_owned())
    }

    /// The package's own name for a key of the sidecar; none if it is another's.
    pub(super) fn own_key<'k>(&self, key: &'k str) -> Option<&'k str> {
        if !self.shared {
            return Some(key);
        }
        key.strip_prefix(self.app.as_str())?.strip_prefix(':')
    }

    /// The sidecar's name for a job.
    pub(super) fn job(&self, name: &str) -> String {
        let app = self.app.as_str();
        match self.shared {
            true => format!("{}-{app}-{name}", app.len()),
            false => name.to_owned(),
        }
    }
}

/// The app and its own name for a job that a shared sidecar fires.
pub(super) fn job_owner(name: &str) -> Option<(AppId, &str)> {
    let (length, rest) = name.split_once('-')?;
    let (app, rest) = rest.split_at_checked(length.parse().ok()?)?;
    Some((AppId::new(app).ok()?, rest.strip_prefix('-')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppId {
        AppId::new(name).unwrap()
    }

    #[test]
    fn no_two_apps_meet_in_a_key_or_job() {
        let (a, b, c) = (app("a"), app("a.b"), app("a-b"));
        let shared = |app| Names::new(app, true);
        assert_ne!(shared(&a).key("b:c").unwrap(), shared(&b).key("c").unwrap());
        assert_ne!(shared(&a).job("b-c"), shared(&c).job("c"));
        let name = shared(&c).job("c-d");
        assert_eq!(job_owner(&name), Some((app("a-b"), "c-d")));
        assert_eq!(job_owner("99-a-b"), None);
        assert_eq!(job_owner("other"), None);
        assert_eq!(shared(&a).own_key("a:k"), Some("k"));
        assert_eq!(shared(&a).own_key("ab:k"), None);
        assert!(shared(&a).key("x||y").is_err());
    }
}
