//! Header fields of an answer: a short list of those that the SDK sets, and `http`'s map once a program sets or asks
//! for any.
//!
//! Most answers have two fields, set here and read once. As a map they cost hello a fifth of its size and half of its
//! instructions, so a package carries the map only if it uses it.

use std::{borrow::Cow, sync::OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Header fields.
#[derive(Clone, Default)]
pub(crate) struct Fields {
    list: Vec<Own>,
    /// In place of the list from when it is there. Behind a trait, so that what the map needs is part of a package only
    /// where one is made.
    map: OnceLock<Box<dyn Mapped>>,
}

/// A field that the SDK sets: a name in lower case, and a value that HTTP can carry.
type Own = (&'static str, Cow<'static, str>);

trait Mapped: Send + Sync {
    fn map(&self) -> &HeaderMap;
    fn map_mut(&mut self) -> &mut HeaderMap;
    fn insert(&mut self, field: Own);
    fn contains(&self, name: &'static str) -> bool;
    #[cfg(target_family = "wasm")]
    fn entries(&self) -> Vec<(String, Vec<u8>)>;
    fn copy(&self) -> Box<dyn Mapped>;
}

impl Mapped for HeaderMap {
    fn map(&self) -> &HeaderMap {
        self
    }

    fn map_mut(&mut self) -> &mut HeaderMap {
        self
    }

    fn insert(&mut self, (name, value): Own) {
        if let Ok(value) = HeaderValue::try_from(value.as_ref()) {
            HeaderMap::insert(self, HeaderName::from_static(name), value);
        }
    }

    fn contains(&self, name: &'static str) -> bool {
        self.contains_key(name)
    }

    #[cfg(target_family = "wasm")]
    fn entries(&self) -> Vec<(String, Vec<u8>)> {
        entries(self)
    }

    fn copy(&self) -> Box<dyn Mapped> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Mapped> {
    fn clone(&self) -> Self {
        (**self).copy()
    }
}

impl Fields {
    pub(crate) const fn new() -> Self {
        Fields {
            list: Vec::new(),
            map: OnceLock::new(),
        }
    }

    /// Sets a field to one value, in place of any it had.
    pub(crate) fn insert(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.insert_own((name, value.into()));
    }

    pub(crate) fn contains(&self, name: &'static str) -> bool {
        match self.map.get() {
            Some(map) => map.contains(name),
            None => self.list.iter().any(|(other, _)| *other == name),
        }
    }

    pub(crate) fn map(&self) -> &HeaderMap {
        self.map.get_or_init(|| mapped(&self.list)).map()
    }

    pub(crate) fn map_mut(&mut self) -> &mut HeaderMap {
        let map = self.map.take().unwrap_or_else(|| mapped(&self.list));
        self.map = OnceLock::from(map);
        match self.map.get_mut() {
            Some(map) => map.map_mut(),
            None => unreachable!("it was set a line above"),
        }
    }

    /// Names and values as a host takes them.
    #[cfg(target_family = "wasm")]
    pub(crate) fn entries(&self) -> Vec<(String, Vec<u8>)> {
        let own = |(name, value): &Own| ((*name).to_owned(), value.as_bytes().to_vec());
        match self.map.get() {
            Some(map) => map.entries(),
            None => self.list.iter().map(own).collect(),
        }
    }

    fn insert_own(&mut self, field: Own) {
        if let Some(map) = self.map.get_mut() {
            return map.insert(field);
        }
        if let Some(place) = self.list.iter_mut().find(|(name, _)| *name == field.0) {
            *place = field;
            return;
        }
        // Two fields are all that most answers have: content-type and content-length.
        if self.list.capacity() == 0 {
            self.list.reserve(2);
        }
        self.list.push(field);
    }
}

/// Names and values of a map, as a host takes them.
#[cfg(target_family = "wasm")]
pub(crate) fn entries(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let entry = |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), value.as_bytes().to_vec());
    headers.iter().map(entry).collect()
}

fn mapped(list: &[Own]) -> Box<dyn Mapped> {
    let mut map = HeaderMap::with_capacity(list.len());
    for field in list {
        Mapped::insert(&mut map, field.clone());
    }
    Box::new(map)
}
