//! A map that needs no seed.

use std::{
    borrow::Borrow,
    collections::{HashMap, hash_map},
    fmt,
    hash::{BuildHasherDefault, DefaultHasher, Hash},
};

/// A map that is made once and read ever after, for what [`init!`](crate::init) prepares.
///
/// Rust's own `HashMap` asks its host for a random seed, so that nobody outside can choose keys that all land in one
/// place. A snapshot cannot have one: all its instances would share it. This map has none, and needs none, because
/// nothing is added when it is made: its keys are the package's own, and a look-up with any other is as short as with
/// these. For what a request brings, use `HashMap`, which each instance seeds anew.
///
/// ```
/// use wasmgate_sdk::FrozenMap;
///
/// let prices = FrozenMap::from([("espresso", 2), ("flat white", 4)]);
/// assert_eq!(prices.get("espresso"), Some(&2));
/// assert_eq!(prices.get("tea"), None);
/// assert_eq!(prices.len(), 2);
/// ```
#[derive(Clone)]
pub struct FrozenMap<K, V>(HashMap<K, V, Unseeded>);

/// Makes hashers that hash alike everywhere.
type Unseeded = BuildHasherDefault<DefaultHasher>;

impl<K: Eq + Hash, V> FrozenMap<K, V> {
    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get(key)
    }

    /// Returns whether there is such a key.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.contains_key(key)
    }
}

impl<K, V> FrozenMap<K, V> {
    /// The number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All keys with their values, in an order of no meaning.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.0.iter()
    }
}

impl<K, V> Default for FrozenMap<K, V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Eq + Hash, V> FromIterator<(K, V)> for FrozenMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<K: Eq + Hash, V, const N: usize> From<[(K, V); N]> for FrozenMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<'a, K, V> IntoIterator for &'a FrozenMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = hash_map::Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for FrozenMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
