//! `[[route]]`: which package answers which requests.

use std::collections::HashMap;

use http::Method;
use wasmgate_common::{Code, Diagnostic};
use wasmgate_dapr::{is_dapr_path, is_runtime_path};

use super::{
    package::{PackageConfig, PackageName},
    rate_limit,
    reader::{Section, Spot, one_of},
};
use crate::routes::{self, Collision, HostPattern, PathPattern, Route};

/// The keys of `[[route]]`.
const KEYS: [&str; 6] = [
    "path",
    "host",
    "methods",
    "package",
    "strip_prefix",
    "rate_limit",
];

/// The methods that a route may name (RFC 9110, 9.3, and RFC 5789). CONNECT asks for a tunnel, which
/// is not routed.
const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
];

/// Reads every route, in the order of the file. `packages` are all that are written; one that is wrong is there without
/// its configuration.
pub(super) fn read_all(root: &Section<'_>, packages: &[(&str, Option<PackageConfig>)]) -> Vec<Route> {
    let names = packages.iter().map(|(name, _)| *name);
    let indices: HashMap<&str, usize> = names
        .enumerate()
        .map(|(index, name)| (name, index))
        .collect();
    let sections = root.sections("route", &KEYS);
    let read = sections.iter().filter_map(|section| {
        let route = read(section, &indices, root)?;
        let package = packages.get(route.package());
        if let Some((_, Some(package))) = package {
            check_reach(section, &route, package);
        }
        Some((section, route))
    });
    let (sections, routes): (Vec<&Section<'_>>, Vec<Route>) = read.unzip();
    for collision in routes::collisions(&routes) {
        if let (Some(first), Some(second), Some(route)) = (
            sections.get(collision.first),
            sections.get(collision.second),
            routes.get(collision.first),
        ) {
            second.refuse(collides(&collision, route, &first.spot()));
        }
    }
    routes
}

/// Reads one route. Everything is read before the first thing that is missing gives up, so that every
/// mistake is noted.
fn read(section: &Section<'_>, packages: &HashMap<&str, usize>, root: &Section<'_>) -> Option<Route> {
    section.requires("path", "the route has no path", "\"/orders/{*rest}\"");
    section.requires("package", "the route has no package", "\"counter-api\"");
    let path = section.parsed("path", "/orders/{*rest}", PathPattern::parse);
    let package = package(section, packages, root);
    let host = section.parsed("host", "shop.example.com", HostPattern::parse);
    let methods = methods(section);
    let strip_prefix = path
        .as_ref()
        .and_then(|path| section.parsed("strip_prefix", "/orders", |prefix| path.strips(prefix)));
    let rate_limit = rate_limit::read(section);
    // A host that is wrong is not any host: the route would seem to collide with others.
    if host.is_none() && section.has("host") {
        return None;
    }
    Some(Route::new(path?, host, methods, package?, strip_prefix).limited_to(rate_limit))
}

/// Refuses a route of which no request reaches the package: all its paths are the building blocks' own.
fn check_reach(section: &Section<'_>, route: &Route, package: &PackageConfig) {
    let (seen, _) = route.seen();
    let is_kept = if package.grants.is_none() {
        is_dapr_path(&seen)
    } else {
        is_runtime_path(&seen)
    };
    if !is_kept {
        return;
    }
    let help = match route.strip_prefix() {
        Some(prefix) => {
            format!(
                "give it another path, or take less off than {prefix:?}: {} sees {seen}",
                package.name
            )
        }
        None => "give it another path, or remove the route: Dapr's building blocks need none".to_owned(),
    };
    section.refuse_key(
        "path",
        Diagnostic::new(
            Code::Conflict,
            format!("no request reaches this route: {seen} is kept for Dapr's calls of the package"),
            help,
        ),
    );
}

fn package(section: &Section<'_>, packages: &HashMap<&str, usize>, root: &Section<'_>) -> Option<usize> {
    let item = section.text("package", "counter-api")?;
    let index = packages.get(item.value).copied();
    // A package may be there by the name of a table that is misspelt.
    if index.is_none() && !root.is_misspelt("package") {
        let table = match PackageName::parse(item.value) {
            Ok(name) => format!("add [package.{name}]"),
            Err(_) => "name one that is there".to_owned(),
        };
        let help = match section.nearest(item.value, packages.keys().copied()) {
            Some(near) => format!("write {near:?}, or {table}"),
            None => table,
        };
        item.refuse(Diagnostic::new(
            Code::UnknownName,
            format!("there is no package {:?}", item.value),
            help,
        ));
    }
    index
}

fn methods(section: &Section<'_>) -> Option<Vec<Method>> {
    let items = section.texts("methods", "GET")?;
    let mut methods: Vec<Method> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(method) = item.parsed(method) else {
            continue;
        };
        if methods.contains(&method) {
            item.refuse(Diagnostic::new(
                Code::Duplicate,
                format!("{method} is there twice"),
                "write it once",
            ));
        } else {
            methods.push(method);
        }
    }
    if section.is_empty_list("methods") {
        section.refuse_key(
            "methods",
            Diagnostic::new(
                Code::InvalidValue,
                "the list is empty, so the route would answer nothing",
                "name methods, or remove the key to take all of them",
            ),
        );
    }
    Some(methods)
}

fn method(text: &str) -> Result<Method, Diagnostic> {
    let upper = text.to_ascii_uppercase();
    match METHODS.iter().find(|method| method.as_str() == upper) {
        Some(method) if method.as_str() == text => Ok(method.clone()),
        Some(method) => Err(Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is not in upper case"),
            format!("write \"{method}\""),
        )),
        None => Err(Diagnostic::new(
            Code::UnknownName,
            format!("there is no method {text:?} to route"),
            format!("write any of {}", one_of(&METHODS)),
        )),
    }
}

fn collides(collision: &Collision, first: &Route, at: &Spot) -> Diagnostic {
    let method = match &collision.method {
        Some(method) => format!("{method} requests"),
        None => "requests".to_owned(),
    };
    Diagnostic::new(
        Code::Conflict,
        format!(
            "this route answers the same {method} as the route in line {}, {}",
            at.position.line,
            first.pattern()
        ),
        "remove one of the two, or give them different paths, hosts or methods",
    )
}
