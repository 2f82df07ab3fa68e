//! Path patterns: the gateway's own syntax.
//!
//! `/static`, `/{param}` for one segment that is not empty, `/{*rest}` for any number of segments,
//! also none. A pattern is matched as text, on the fly: every request is a fresh instance, so
//! a tree would cost more to build than it saves.

use std::{borrow::Cow, cmp::Ordering};

use crate::percent;

/// A path pattern, for example `/orders/{id}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(pub(crate) &'static str);

/// One segment of a pattern, the most specific kind first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment {
    Static(&'static str),
    Param(&'static str),
    Rest(&'static str),
}

impl Pattern {
    /// Returns whether the path, as it stands in the request line, is one of the pattern's.
    pub(crate) fn matches(self, path: &str) -> bool {
        // Most routes are static: one comparison.
        if self.0 == path && !self.0.as_bytes().contains(&b'{') {
            return true;
        }
        if !path.starts_with('/') {
            return false;
        }
        let mut rest = path.strip_prefix('/');
        for segment in self.segments() {
            if matches!(segment, Segment::Rest(_)) {
                return true;
            }
            let Some(left) = rest else { return false };
            let (head, tail) = cut(left, b'/');
            if !segment.takes(head) {
                return false;
            }
            rest = tail;
        }
        rest.is_none()
    }

    /// The pattern below a prefix. It is kept for ever: a table is built once for a request, whose instance ends with
    /// it.
    pub(crate) fn under(self, prefix: &str) -> Self {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        match (prefix, self.0) {
            ("", _) => self,
            (prefix, "/") => Pattern(String::from(prefix).leak()),
            (prefix, path) => Pattern(format!("{prefix}{path}").leak()),
        }
    }

    /// Compares two patterns that match one path: the more specific is `Less`.
    pub(crate) fn specificity(self, other: Pattern) -> Ordering {
        let ranks = |pattern: Pattern| pattern.segments().map(Segment::rank);
        ranks(self).cmp(ranks(other))
    }

    /// The parameters of a path that matches, decoded.
    pub(crate) fn params(self, path: &str) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let mut rest = path.strip_prefix('/');
        self.segments().filter_map(move |segment| {
            let left = rest.unwrap_or_default();
            let (head, tail) = cut(left, b'/');
            rest = tail;
            match segment {
                Segment::Static(_) => None,
                Segment::Param(name) => Some((name, percent::decode(head))),
                Segment::Rest(name) => Some((name, percent::decode(left))),
            }
        })
    }

    /// Finds what is wrong with the pattern, if anything; for tests, never on a request's path.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn mistake(self) -> Option<&'static str> {
        if !self.0.starts_with('/') {
            return Some("does not start with `/`");
        }
        let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let mut names = Vec::new();
        let mut segments = self.segments().peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            let name = match segment {
                Segment::Static("") if !last => return Some("has an empty segment, `//`"),
                Segment::Static(text) if text.contains(['{', '}']) => {
                    return Some("has braces that do not span a whole segment");
                }
                Segment::Static(_) => continue,
                Segment::Rest(_) if !last => {
                    return Some("has something after `{*…}`, which takes all that is left");
                }
                Segment::Param(name) | Segment::Rest(name) => name,
            };
            if name.is_empty() || !name.bytes().all(named) {
                return Some("has a parameter whose name is not letters, digits, `_` and `-`");
            }
            if names.contains(&name) {
                return Some("has two parameters of one name");
            }
            names.push(name);
        }
        None
    }

    fn segments(self) -> impl Iterator<Item = Segment> {
        let mut rest = Some(self.0.strip_prefix('/').unwrap_or(self.0));
        std::iter::from_fn(move || {
            let (head, tail) = cut(rest?, b'/');
            rest = tail;
            Some(Segment::new(head))
        })
    }
}

impl Segment {
    fn new(text: &'static str) -> Self {
        match text
            .strip_prefix('{')
            .and_then(|inner| inner.strip_suffix('}'))
        {
            Some(inner) => match inner.strip_prefix('*') {
                Some(name) => Segment::Rest(name),
                None => Segment::Param(inner),
            },
            None => Segment::Static(text),
        }
    }

    /// Returns whether the segment fits one of a path's, as it stands in the request line.
    fn takes(self, part: &str) -> bool {
        match self {
            Segment::Static(text) => text == part || percent::decode(text) == percent::decode(part),
            Segment::Param(_) => !part.is_empty(),
            Segment::Rest(_) => true,
        }
    }

    fn rank(self) -> u8 {
        match self {
            Segment::Static(_) => 0,
            Segment::Param(_) => 1,
            Segment::Rest(_) => 2,
        }
    }
}

/// Splits a text at the first of an ASCII character, if it is there. Byte by
/// byte: on texts this short it beats a general search, in time and in size.
pub(crate) fn cut(text: &str, at: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == at) {
        Some(end) => (text.get(..end).unwrap_or_default(), text.get(end + 1..)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pattern: &'static str, path: &str) -> Vec<(&'static str, String)> {
        assert!(
            Pattern(pattern).matches(path),
            "{pattern} should match {path}"
        );
        Pattern(pattern)
            .params(path)
            .map(|(name, value)| (name, value.into_owned()))
            .collect()
    }

    #[test]
    fn static_patterns_match_themselves_only() {
        assert!(Pattern("/").matches("/"));
        assert!(Pattern("/a/b").matches("/a/b"));
        assert!(Pattern("/a b").matches("/a%20b"));
        assert!(Pattern("/a%2fb").matches("/a%2Fb"));
        assert!(!Pattern("/a%2fb").matches("/a/b"));
        for path in ["", "/a", "/a/b/", "/a/b/c", "//a/b", "a/b", "*"] {
            assert!(!Pattern("/a/b").matches(path), "{path}");
        }
        assert!(!Pattern("/{id}").matches("/"));
    }

    #[test]
    fn parameters_take_one_decoded_segment() {
        assert_eq!(params("/o/{id}", "/o/a%2Fb"), [("id", "a/b".into())]);
        assert_eq!(
            params("/{a}/x/{b}", "/1/x/2"),
            [("a", "1".into()), ("b", "2".into())]
        );
        assert!(!Pattern("/o/{id}").matches("/o/1/2"));
        assert!(!Pattern("/o/{id}").matches("/o/"));
    }

    #[test]
    fn a_wildcard_takes_all_that_is_left_even_nothing() {
        assert_eq!(params("/f/{*rest}", "/f/a/b/"), [("rest", "a/b/".into())]);
        assert_eq!(params("/f/{*rest}", "/f/"), [("rest", String::new())]);
        assert_eq!(params("/f/{*rest}", "/f"), [("rest", String::new())]);
        assert_eq!(params("/f/{*rest}", "/f//a"), [("rest", "/a".into())]);
        assert_eq!(params("/{*rest}", "/"), [("rest", String::new())]);
        assert!(!Pattern("/f/{*rest}").matches("/fa"));
        assert!(!Pattern("/f/{*rest}").matches("/"));
    }

    #[test]
    fn static_comes_before_parameter_before_wildcard() {
        let less = |a, b| Pattern(a).specificity(Pattern(b)) == Ordering::Less;
        assert!(less("/a/b", "/a/{x}"));
        assert!(less("/a/{x}", "/a/{*x}"));
        assert!(less("/a/{x}/{y}", "/{x}/b/c"));
        assert!(less("/a", "/a/{*x}"));
        assert!(less("/a/", "/a/{*x}"));
    }

    #[test]
    fn mistakes_in_patterns_are_found() {
        for bad in [
            "a", "/{}", "/{*}", "/{a}/{a}", "/{*a}/b", "/x{a}", "/{a", "//a", "/{a b}",
        ] {
            assert!(Pattern(bad).mistake().is_some(), "{bad}");
        }
        for good in ["/", "/a/", "/{a}/{*b}"] {
            assert!(Pattern(good).mistake().is_none(), "{good}");
        }
    }
}
