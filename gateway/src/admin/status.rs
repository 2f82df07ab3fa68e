//! `/status`: what is served, and the result of the last reload.

use axum::{Json, extract::State};
use serde::Serialize;

use super::{
    PackageStatus, Status,
    ready::{self, Condition},
    reload::Told,
    tls,
};

/// The answer in JSON.
#[derive(Serialize)]
pub(super) struct Page {
    version: &'static str,
    /// `starting`, `serving` or `draining`.
    state: &'static str,
    packages: Vec<PackageStatus>,
    routes: Vec<Route>,
    reload: Told,
    /// Present if clients must use TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<tls::Told>,
    /// All conditions of `/readyz`.
    conditions: Vec<Condition>,
}

#[derive(Serialize)]
struct Route {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    methods: Option<Vec<String>>,
    path: String,
    package: String,
}

pub(super) async fn answer(State(status): State<Status>) -> Json<Page> {
    let gateway = status.gateway();
    let packages = gateway
        .as_ref()
        .map_or(&[][..], |gateway| gateway.packages());
    let routes = gateway.as_ref().map_or(&[][..], |gateway| gateway.routes());
    let route = |route: &crate::routes::Route| {
        let package = packages.get(route.package())?;
        Some(Route {
            host: route.host().map(ToString::to_string),
            methods: route
                .methods()
                .map(|methods| methods.iter().map(ToString::to_string).collect()),
            path: route.pattern().to_owned(),
            package: package.name().to_string(),
        })
    };
    Json(Page {
        version: env!("CARGO_PKG_VERSION"),
        state: match &gateway {
            None => "starting",
            Some(_) if status.is_draining() => "draining",
            Some(_) => "serving",
        },
        packages: packages.iter().map(PackageStatus::new).collect(),
        routes: routes.iter().filter_map(route).collect(),
        reload: status.told(),
        tls: status.certificate(),
        conditions: ready::conditions(&status),
    })
}
