//! The route table: all hosts and their trees.

use std::collections::HashMap;

use http::{HeaderValue, Method};

use super::{CleanPath, HostPattern, Match, NoMatch, Route, host::MAX_HOST, tree::Node};

/// All routes, made for fast look-up.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    exact: HashMap<Box<str>, Node>,
    suffixes: HashMap<Box<str>, Node>,
    any: Node,
}

impl RouteTable {
    /// A table of routes. Of routes that collide (see [`collisions`](super::collisions)) the first
    /// one answers.
    pub fn new(routes: Vec<Route>) -> Self {
        let mut table = Self {
            routes: Vec::new(),
            exact: HashMap::new(),
            suffixes: HashMap::new(),
            any: Node::default(),
        };
        for (index, route) in routes.iter().enumerate() {
            let tree = match route.host() {
                Some(HostPattern::Exact(name)) => table.exact.entry(name.as_str().into()).or_default(),
                Some(HostPattern::Suffix(name)) => table.suffixes.entry(name.as_str().into()).or_default(),
                None => &mut table.any,
            };
            tree.insert(route.path().segments(), index);
        }
        table.routes = routes;
        table
    }

    /// The routes, in the order in which they were given; a [`Match`] has an index into them.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route that answers a request. `host` is as in the request: its case, a port and a final dot
    /// make no difference.
    ///
    /// Allocates nothing when a route is found.
    ///
    /// # Errors
    /// When no route has the host and path, or none that has them takes the method.
    pub fn find(&self, host: Option<&str>, path: &CleanPath<'_>, method: &Method) -> Result<Match<'_>, NoMatch> {
        let found = self.visit(host, path, &mut |routes| self.select(routes, method));
        found.ok_or_else(|| self.refusal(host, path))
    }

    /// Of routes with one pattern, the one for the method; for HEAD rather one that names it.
    fn select(&self, routes: &[usize], method: &Method) -> Option<Match<'_>> {
        let find = |wanted: fn(&Route, &Method) -> bool| {
            let mut all = routes
                .iter()
                .filter_map(|index| Some((*index, self.routes.get(*index)?)));
            all.find(|(_, route)| wanted(route, method))
        };
        let (index, route) = find(Route::names).or_else(|| find(Route::takes))?;
        Some(Match { index, route })
    }

    /// Tells why nothing was found, by the routes that other methods would have found.
    fn refusal(&self, host: Option<&str>, path: &CleanPath<'_>) -> NoMatch {
        let mut taken: Vec<&str> = Vec::new();
        let _: Option<()> = self.visit(host, path, &mut |routes| {
            for index in routes {
                let methods = self
                    .routes
                    .get(*index)
                    .and_then(Route::methods)
                    .unwrap_or_default();
                taken.extend(methods.iter().map(Method::as_str));
            }
            None
        });
        if taken.contains(&"GET") {
            taken.push("HEAD");
        }
        taken.sort_unstable();
        taken.dedup();
        match HeaderValue::from_str(&taken.join(", ")) {
            Ok(allow) if !taken.is_empty() => NoMatch::MethodNotAllowed { allow },
            _ => NoMatch::NoRoute,
        }
    }

    /// Calls `visit` with the routes of each host and pattern that match, the most specific first,
    /// until it gives something.
    fn visit<T>(
        &self,
        host: Option<&str>,
        path: &CleanPath<'_>,
        visit: &mut impl FnMut(&[usize]) -> Option<T>,
    ) -> Option<T> {
        let path = path.as_str().strip_prefix('/')?;
        let mut buffer = [0; MAX_HOST];
        let named = !self.exact.is_empty() || !self.suffixes.is_empty();
        if named && let Some(host) = host.and_then(|host| lower_host(host, &mut buffer)) {
            if let Some(tree) = self.exact.get(host)
                && let Some(found) = tree.visit(Some(path), visit)
            {
                return Some(found);
            }
            if !self.suffixes.is_empty() {
                // `a.b.c` is below `b.c`, then below `c`: the longest suffix comes first.
                for (dot, _) in host.match_indices('.').filter(|(dot, _)| *dot > 0) {
                    let suffix = host.get(dot + 1..).unwrap_or_default();
                    if let Some(tree) = self.suffixes.get(suffix)
                        && let Some(found) = tree.visit(Some(path), visit)
                    {
                        return Some(found);
                    }
                }
            }
        }
        self.any.visit(Some(path), visit)
    }
}

/// The host in lower case, without port and final dot; `None` when it is longer than any host.
fn lower_host<'b>(host: &str, buffer: &'b mut [u8; MAX_HOST]) -> Option<&'b str> {
    let host = match host.rsplit_once(':') {
        // In an IPv6 address without a port, the last colon is followed by its closing bracket.
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let lower = buffer.get_mut(..host.len())?;
    lower.copy_from_slice(host.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}
