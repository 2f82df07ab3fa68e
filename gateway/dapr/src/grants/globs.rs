//! Names with wildcards, as in a package's grants.

use serde::Deserialize;
use wildmatch::WildMatch;

/// A list of names with globs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(try_from = "Vec<String>")]
pub struct Globs(Vec<Glob>);

/// A list of names that is no list of grants.
#[derive(Debug, thiserror::Error)]
#[error("an empty name grants nothing; write the component's name, or \"*\" for every one")]
pub struct GrantError;

impl Globs {
    /// Reads a list of names with globs.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, GrantError> {
        Self::try_from(names.into_iter().map(Into::into).collect::<Vec<_>>())
    }

    /// Returns whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Glob> {
        self.0.iter()
    }

    /// Returns whether `name` is one of them, or matches one.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|glob| glob.whole.matches(name))
    }

    pub(super) fn matches_item(&self, component: &str, item: &str) -> bool {
        self.covers(component, item, WILDCARDS)
    }

    pub(super) fn covers(&self, component: &str, item: &str, wildcards: &[char]) -> bool {
        let mut globs = self.0.iter();
        globs.any(|glob| glob.covers(component, item, wildcards))
    }

    pub(super) fn touch(&self, component: &str) -> bool {
        self.0.iter().any(|glob| glob.component.matches(component))
    }
}

impl TryFrom<Vec<String>> for Globs {
    type Error = GrantError;
    fn try_from(names: Vec<String>) -> Result<Self, GrantError> {
        names.iter().map(|name| Glob::parse(name)).collect()
    }
}

impl FromIterator<Glob> for Globs {
    fn from_iter<I: IntoIterator<Item = Glob>>(globs: I) -> Self {
        Self(globs.into_iter().collect())
    }
}

/// A name with globs, also split at its first slash: names of components hold none.
#[derive(Clone, Debug)]
pub struct Glob {
    written: Box<str>,
    whole: WildMatch,
    component: WildMatch,
    /// As written, and as it matches.
    item: Option<(String, WildMatch)>,
}

/// Globs are what was written.
impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

/// Characters by which a store may mean several names by one, as Redis does.
const WILDCARDS: &[char] = &['*', '?', '['];

/// Those by which a broker may do so in subscriptions: also `#` and `+` of MQTT and `>` of NATS.
pub(super) const TOPIC_WILDCARDS: &[char] = &['*', '?', '[', '#', '+', '>'];

impl Glob {
    /// Reads a name with globs.
    ///
    /// # Errors
    /// When nothing is written.
    pub fn parse(name: &str) -> Result<Self, GrantError> {
        if name.trim().is_empty() {
            return Err(GrantError);
        }
        Ok(Self::new(name))
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Returns whether it stands for whatever there is: nobody means one thing by it.
    pub fn is_everything(&self) -> bool {
        matches!(&*self.written, "*" | "*/*")
    }

    /// The name of everything.
    pub(super) fn every() -> Self {
        Self::new("*")
    }

    fn new(name: &str) -> Self {
        let (component, item) = match name.split_once('/') {
            Some((component, item)) => (component, Some((item.to_owned(), WildMatch::new(item)))),
            None => (name, None),
        };
        Self {
            written: name.into(),
            whole: WildMatch::new(name),
            component: WildMatch::new(component),
            item,
        }
    }

    fn covers(&self, component: &str, item: &str, wildcards: &[char]) -> bool {
        // What may mean several names is open where all of them are, or where it is granted as it is written.
        let covers = |(written, glob): &(String, WildMatch)| {
            if item.contains(wildcards) && written.contains(['*', '?']) {
                written == "*" || written == item
            } else {
                glob.matches(item)
            }
        };
        self.component.matches(component) && self.item.as_ref().is_none_or(covers)
    }
}
