//! The rate limiters of routes and packages; a reload keeps those whose configuration did not change.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::HeaderMap;

use super::Gateway;
use crate::{
    package::Package,
    rate_limit::{RateLimit, RateLimitConfig},
    request_headers::Peer,
    routes::Route,
};

/// The limits by the indices of routes and of packages.
pub(super) struct Rates {
    of_routes: Vec<Option<Arc<RateLimit>>>,
    of_packages: Vec<Option<Arc<RateLimit>>>,
}

/// Identifies a limit across reloads: its route, its package and its configuration.
type Identity = (String, String, RateLimitConfig);

impl Rates {
    /// Rate limiters of `before` are kept where the limits did not change.
    pub(super) fn new(routes: &[Route], packages: &[Arc<Package>], before: Option<&Gateway>) -> Self {
        let known = before.map(known).unwrap_or_default();
        let limit = |identity: Option<Identity>| {
            let identity = identity?;
            let found = known.get(&identity).cloned();
            Some(found.unwrap_or_else(|| Arc::new(RateLimit::new(&identity.2))))
        };
        Self {
            of_routes: routes
                .iter()
                .map(|route| limit(of_route(route, packages)))
                .collect(),
            of_packages: packages
                .iter()
                .map(|package| limit(of_package(package)))
                .collect(),
        }
    }

    /// Applies both limits to a request.
    ///
    /// # Errors
    /// When it exceeds one of them; the error is the time to wait.
    pub(super) fn check(
        &self,
        route: usize,
        package: Option<usize>,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<(), Duration> {
        let of_route = self.of_routes.get(route).and_then(Option::as_ref);
        let of_package = package.and_then(|package| self.of_packages.get(package)?.as_ref());
        for limit in [of_route, of_package].into_iter().flatten() {
            limit.check(peer.client(headers), headers)?;
        }
        Ok(())
    }
}

/// The limiters of a gateway, by identity.
fn known(gateway: &Gateway) -> HashMap<Identity, Arc<RateLimit>> {
    let routes = gateway.routes().iter().zip(&gateway.rates.of_routes);
    let routes = routes.map(|(route, limit)| (of_route(route, gateway.packages()), limit));
    let packages = gateway.packages().iter().zip(&gateway.rates.of_packages);
    let packages = packages.map(|(package, limit)| (of_package(package), limit));
    routes
        .chain(packages)
        .filter_map(|(identity, limit)| Some((identity?, Arc::clone(limit.as_ref()?))))
        .collect()
}

fn of_route(route: &Route, packages: &[Arc<Package>]) -> Option<Identity> {
    let package = packages.get(route.package())?.name().as_str().to_owned();
    let limit = route.rate_limit().cloned()?;
    Some((route.identity(), package, limit))
}

fn of_package(package: &Arc<Package>) -> Option<Identity> {
    let config = &package.account.config;
    let limit = config.rate_limit.clone()?;
    Some((String::new(), config.name.as_str().to_owned(), limit))
}
