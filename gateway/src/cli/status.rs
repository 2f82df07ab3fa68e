//! `wasmgate status` and `wasmgate reload`: shows what a running gateway serves, and reloads its configuration.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::Args;
use serde::Deserialize;
use wasmgate::{
    admin::client::{CallError, Client},
    config,
};

use super::{Exit, admin_address, counted, print};

/// The arguments of both.
#[derive(Args)]
pub(crate) struct Status {
    /// The gateway's admin listener; on another machine it needs WASMGATE_ADMIN_TOKEN in the environment
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090", value_parser = admin_address)]
    admin: String,
    /// Print the gateway's JSON answer
    #[arg(long)]
    json: bool,
}

/// The part of the gateway's answer that is shown.
#[derive(Deserialize)]
struct Page {
    version: String,
    state: String,
    packages: Vec<Package>,
    routes: Vec<Route>,
    reload: Reload,
    tls: Option<Tls>,
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    /// None for a component that is not fit to be served.
    #[serde(default)]
    engine: Option<String>,
    loaded: bool,
    instances: usize,
    unavailable: Option<String>,
    pulled: Option<Pulled>,
}

#[derive(Deserialize)]
struct Pulled {
    reference: String,
    digest: String,
}

#[derive(Deserialize)]
struct Route {
    host: Option<String>,
    methods: Option<Vec<String>>,
    path: String,
    package: String,
}

#[derive(Deserialize)]
struct Reload {
    served_since: u64,
}

#[derive(Deserialize)]
struct Tls {
    certificate: String,
    not_after: u64,
    shown_since: u64,
}

#[derive(Deserialize)]
struct Condition {
    reason: String,
    package: Option<String>,
    detail: String,
}

/// What a reload has changed.
#[derive(Deserialize)]
struct Reloaded {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
    needs_restart: Vec<String>,
    packages: usize,
    routes: usize,
    milliseconds: u64,
}

impl Reloaded {
    fn text(&self) -> String {
        let (packages, routes) = (
            counted(self.packages, "package"),
            counted(self.routes, "route"),
        );
        let mut text = format!(
            "reloaded in {} ms: {packages} and {routes}\n",
            self.milliseconds
        );
        let lists = [
            ("added", &self.added),
            ("changed", &self.changed),
            ("removed", &self.removed),
            ("from the next start on", &self.needs_restart),
        ];
        for (what, names) in lists.iter().filter(|(_, names)| !names.is_empty()) {
            text.push_str(&format!("{what}: {}\n", names.join(", ")));
        }
        text
    }
}

impl Status {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let json = self.json;
        let page: serde_json::Value = self.call(async |client| client.get("/status").await)?;
        if json {
            print(&format!("{page:#}\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let page: Page = serde_json::from_value(page).map_err(|error| Exit::machine(&error))?;
        print(&text(&page))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Has the gateway read its configuration again.
    pub(super) fn reload(self) -> Result<ExitCode, Exit> {
        let json = self.json;
        let reloaded: serde_json::Value =
            self.call(async |client| client.post("/reload", &serde_json::json!({})).await)?;
        if json {
            print(&format!("{reloaded:#}\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let reloaded: Reloaded = serde_json::from_value(reloaded).map_err(|error| Exit::machine(&error))?;
        print(&reloaded.text())?;
        Ok(ExitCode::SUCCESS)
    }

    fn call<T>(self, call: impl AsyncFnOnce(Client) -> Result<T, CallError>) -> Result<T, Exit> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Exit::machine(&error))?;
        let client = Client::new(self.admin, config::Environment::read().admin_token);
        Ok(runtime.block_on(call(client))?)
    }
}

/// A time in seconds since 1970, as people write it (RFC 3339).
fn time(seconds: u64) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.map_or_else(
        || seconds.to_string(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

fn text(page: &Page) -> String {
    let mut text = format!(
        "wasmgate {}: {}, {} and {}, as configured at {}\n\n",
        page.version,
        page.state,
        counted(page.packages.len(), "package"),
        counted(page.routes.len(), "route"),
        time(page.reload.served_since),
    );
    if let Some(tls) = &page.tls {
        text.push_str(&format!(
            "certificate {}: valid until {}, shown since {}\n",
            tls.certificate,
            time(tls.not_after),
            time(tls.shown_since)
        ));
    }
    for package in &page.packages {
        let is_loaded = if package.loaded {
            "loaded"
        } else {
            "not loaded"
        };
        let unavailable = package.unavailable.as_deref();
        let unavailable = unavailable.map_or_else(String::new, |reason| format!(", unavailable: {reason}"));
        text.push_str(&format!(
            "package {}: engine {}, {is_loaded}, {}{unavailable}\n",
            package.name,
            package.engine.as_deref().unwrap_or("none"),
            counted(package.instances, "instance")
        ));
        if let Some(pulled) = &package.pulled {
            text.push_str(&format!("  {} -> {}\n", pulled.reference, pulled.digest));
        }
    }
    for route in &page.routes {
        let methods = route
            .methods
            .as_ref()
            .map_or_else(|| "*".to_owned(), |methods| methods.join(","));
        let host = route.host.as_deref().unwrap_or_default();
        text.push_str(&format!(
            "route {methods} {host}{} -> {}\n",
            route.path, route.package
        ));
    }
    for condition in &page.conditions {
        let package = condition.package.as_deref();
        let package = package.map_or_else(String::new, |package| format!(" {package}"));
        text.push_str(&format!(
            "{}{package}: {}\n",
            condition.reason, condition.detail
        ));
    }
    text
}
