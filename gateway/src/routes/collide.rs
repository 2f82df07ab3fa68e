//! Detects routes that match the same requests.

use std::collections::HashMap;

use http::Method;

use super::{HostPattern, Route, pattern::Segment};

/// Two routes of one host and one shape of path that take the same method.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Collision {
    /// The route that comes first in the list.
    pub first: usize,
    /// The route that comes later.
    pub second: usize,
    /// A method that both take; `None` for all methods.
    pub method: Option<Method>,
}

/// Host and shape of path: what two patterns share that match the same requests.
type Shape<'r> = (Option<&'r HostPattern>, Vec<SegmentShape<'r>>);

/// A segment without its parameter's name.
#[derive(Eq, Hash, PartialEq)]
enum SegmentShape<'r> {
    Static(&'r str),
    Param,
    Rest,
}

/// The routes of one shape by the methods they take.
#[derive(Default)]
struct Takers {
    any: Option<usize>,
    by_method: HashMap<Method, usize>,
}

/// Finds, for every route, the first one before it that it collides with. Names of parameters make no
/// difference. HEAD beside GET is no collision: a route that names HEAD is preferred for it.
///
/// Takes time in proportion to the number of routes and methods.
pub fn collisions(routes: &[Route]) -> Vec<Collision> {
    let mut shapes: HashMap<Shape<'_>, Takers> = HashMap::new();
    let mut found = Vec::new();
    for (second, route) in routes.iter().enumerate() {
        let segments = route
            .path()
            .segments()
            .iter()
            .map(SegmentShape::from)
            .collect();
        let takers = shapes.entry((route.host(), segments)).or_default();
        if let Some((first, method)) = takers.add(second, route.methods()) {
            found.push(Collision {
                first,
                second,
                method,
            });
        }
    }
    found
}

impl<'r> From<&'r Segment> for SegmentShape<'r> {
    fn from(segment: &'r Segment) -> Self {
        match segment {
            Segment::Static(text) => Self::Static(text),
            Segment::Param(_) => Self::Param,
            Segment::Rest(_) => Self::Rest,
        }
    }
}

impl Takers {
    /// Adds a route; gives who took one of its methods before.
    fn add(&mut self, route: usize, methods: Option<&[Method]>) -> Option<(usize, Option<Method>)> {
        let Some(methods) = methods else {
            let named = self
                .by_method
                .iter()
                .min_by_key(|(method, at)| (**at, method.as_str()));
            let before = self
                .any
                .map(|at| (at, None))
                .or_else(|| named.map(|(method, at)| (*at, Some(method.clone()))));
            self.any.get_or_insert(route);
            return before;
        };
        let mut before = None;
        for method in methods {
            let taken = self.any.or_else(|| self.by_method.get(method).copied());
            if let Some(at) = taken {
                before.get_or_insert((at, Some(method.clone())));
            }
            self.by_method.entry(method.clone()).or_insert(route);
        }
        before
    }
}
