//! The routes of one host, as a tree of segments.

use std::collections::HashMap;

use super::pattern::Segment;

/// A node stands for the segments on the way to it.
///
/// Every node has at most one child for a given text and one for a parameter, and a look-up enters
/// each node at most once, so that it is bounded by the routes that share the path's beginning.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Routes that end here, by index.
    ends: Vec<usize>,
    /// Routes that take here all that is left, by index.
    rests: Vec<usize>,
    texts: HashMap<Box<str>, Node>,
    param: Option<Box<Node>>,
}

impl Node {
    pub(super) fn insert(&mut self, segments: &[Segment], route: usize) {
        match segments {
            [] => self.ends.push(route),
            [Segment::Static(text), rest @ ..] => {
                let child = self.texts.entry(text.as_str().into()).or_default();
                child.insert(rest, route);
            }
            [Segment::Param(_), rest @ ..] => self.param.get_or_insert_default().insert(rest, route),
            [Segment::Rest(_), ..] => self.rests.push(route),
        }
    }

    /// Calls `visit` with the routes of each pattern that matches, the most specific pattern first,
    /// until it gives something. `path` is what is left of the path without the slash in front;
    /// `None` when nothing is left.
    pub(super) fn visit<T>(&self, path: Option<&str>, visit: &mut impl FnMut(&[usize]) -> Option<T>) -> Option<T> {
        let Some(path) = path else {
            return offer(&self.ends, visit).or_else(|| offer(&self.rests, visit));
        };
        let (segment, left) = match path.split_once('/') {
            Some((segment, left)) => (segment, Some(left)),
            None => (path, None),
        };
        if let Some(child) = self.texts.get(segment)
            && let Some(found) = child.visit(left, visit)
        {
            return Some(found);
        }
        if let Some(child) = &self.param
            && !segment.is_empty()
            && let Some(found) = child.visit(left, visit)
        {
            return Some(found);
        }
        offer(&self.rests, visit)
    }
}

fn offer<T>(routes: &[usize], visit: &mut impl FnMut(&[usize]) -> Option<T>) -> Option<T> {
    if routes.is_empty() {
        None
    } else {
        visit(routes)
    }
}
