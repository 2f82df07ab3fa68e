//! `wasmgate.toml`, and routes against a plain reading of them.

use std::path::Path;

use http::{Method, uri::Authority};
use wasmgate::{
    config::{self, Environment, Variables},
    routes::{CleanPath, HostPattern, NoMatch, PathPattern, Route, RouteTable, Segment, collisions},
};

use crate::input;

/// What `${SECRET}` in a configuration stands for: it is told to nobody.
const SECRET: &str = "hush\"é:7s";

/// A configuration: it is read, or every mistake is told, and no value of a variable with it.
pub fn config(data: &[u8]) {
    let variables = [("SECRET", SECRET), ("PORT", "3000"), ("EMPTY", "")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = Environment {
        variables: Variables::new(variables.into()),
        ..Environment::default()
    };
    match config::parse(data, Path::new("wasmgate.toml"), &environment) {
        Ok(config) => drop(RouteTable::new(config.routes)),
        Err(rejected) => {
            assert!(!rejected.diagnostics.is_empty(), "refused without a reason");
            let told = rejected.to_string();
            assert!(!told.is_empty());
            let is_written = String::from_utf8_lossy(data).contains("hush");
            assert!(is_written || !told.contains("hush"), "{told}");
        }
    }
}

/// Routes, a line each (`GET,POST example.com/c/{id}`), `---`, and requests in the same form: what answers is a route
/// that matches, and nothing answers only if none does.
pub fn routes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (routes, requests) = input::parts(text);
    let routes: Vec<Route> = routes.lines().filter_map(route).collect();
    for collision in collisions(&routes) {
        assert!(collision.first <= collision.second, "{collision:?}");
    }
    let table = RouteTable::new(routes);
    for asked in requests.lines().filter_map(Asked::read) {
        let clean = CleanPath::new(&asked.path);
        let fits = |route: &&Route| asked.fits(route, clean.as_str());
        let missed = match table.find(
            asked.host.as_ref().map(Authority::as_str),
            &clean,
            &asked.method,
        ) {
            Ok(found) => {
                let right = fits(&found.route) && asked.takes(found.route);
                assert!(right, "{found:?} answers {asked:?}");
                None
            }
            Err(NoMatch::NoRoute) => table.routes().iter().find(fits),
            Err(NoMatch::MethodNotAllowed { .. }) => {
                let mut fitting = table.routes().iter().filter(fits);
                fitting.find(|route| asked.takes(route))
            }
        };
        assert!(missed.is_none(), "{missed:?} does not answer {asked:?}");
    }
}

fn route(line: &str) -> Option<Route> {
    let (methods, place) = match line.rsplit_once(' ') {
        Some((methods, place)) => (Some(methods), place),
        None => (None, line),
    };
    let (host, path) = place.split_at(place.find('/')?);
    let methods = methods.map(|methods| methods.split(',').map(str::parse).collect());
    let host = (!host.is_empty()).then(|| HostPattern::parse(host));
    let path = PathPattern::parse(path).ok()?;
    let route = Route::new(
        path,
        host.transpose().ok()?,
        methods.transpose().ok()?,
        0,
        None,
    );
    Some(route)
}

/// A request as a line says it.
#[derive(Debug)]
struct Asked {
    method: Method,
    host: Option<Authority>,
    path: String,
}

impl Asked {
    fn read(line: &str) -> Option<Self> {
        let (method, place) = line.split_once(' ')?;
        let (host, path) = place.split_at(place.find('/')?);
        let authority: Option<Authority> = (!host.is_empty()).then(|| host.parse().ok()).flatten();
        Some(Self {
            method: method.parse().ok()?,
            host: authority.filter(is_plain),
            path: path.to_owned(),
        })
    }

    /// The host in the form that patterns have; none if no pattern has it.
    fn plain_host(&self) -> Option<String> {
        let host = self.host.as_ref()?.host();
        let host = host.strip_suffix('.').unwrap_or(host);
        (host.len() <= 253).then(|| host.to_ascii_lowercase())
    }

    /// Whether the route has the host and the path, read from left to right.
    fn fits(&self, route: &Route, clean: &str) -> bool {
        let hosts = route.host().is_none_or(|pattern| {
            let host = self.plain_host();
            host.is_some_and(|host| pattern.matches(&host))
        });
        hosts && matches(route.path().segments(), clean)
    }

    fn takes(&self, route: &Route) -> bool {
        let names = |method| {
            route
                .methods()
                .is_none_or(|methods| methods.contains(method))
        };
        names(&self.method) || self.method == Method::HEAD && names(&Method::GET)
    }
}

/// Whether there is a host and at most a port: others are refused before a route is looked for.
fn is_plain(host: &Authority) -> bool {
    let port = host.as_str().strip_prefix(host.host());
    port.is_some_and(|port| port.is_empty() || port.starts_with(':'))
}

fn matches(segments: &[Segment], path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let mut left = path.split('/').peekable();
    for segment in segments {
        match (segment, left.next()) {
            (Segment::Rest(_), _) => return true,
            (Segment::Static(text), Some(part)) if text == part => {}
            (Segment::Param(_), Some(part)) if !part.is_empty() => {}
            _ => return false,
        }
    }
    left.next().is_none()
}
