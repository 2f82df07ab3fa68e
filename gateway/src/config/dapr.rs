//! `[dapr]`: the building blocks' mode and settings.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{Uri, uri::Authority};
use wasmgate_common::{AppId, Code, Diagnostic};
use wasmgate_dapr::{Glob, Globs, Quotas, sidecar::Topology};

use super::{
    environment::{self, Environment},
    package::{PackageConfig, PackageName},
    quotas,
    reader::{Notes, Section, Spot},
    secret::{Secret, Variables},
    unit,
};

/// The folder of embedded building blocks' data unless configured.
const DATA: &str = ".wasmgate";

/// The time for which a start waits for data that another process holds, unless configured: the drain of a gateway
/// before it, which takes 30 seconds unless configured, and as much again.
const DATA_WAIT: Duration = Duration::from_secs(60);

/// The range of `data_wait`: whoever waits for longer has another process to look for.
const DATA_WAITS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// The folder of component files unless configured.
const COMPONENTS: &str = "components";

/// The app as which other processes call unless configured.
const APP_ID: &str = "wasmgate";

/// The address at which a sidecar calls back unless configured: this machine only, since whoever reaches it can deliver
/// events.
const APP_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3001);

/// Dapr's own default for the sidecar's HTTP API.
const SIDECAR: &str = "http://localhost:3500";

/// Checked `[dapr]`.
#[derive(Clone, Debug)]
pub struct DaprConfig {
    /// The provider of the building blocks.
    pub mode: DaprMode,
    /// Embedded: the folder for state, queues and jobs.
    pub data: PathBuf,
    /// Embedded: the time for which a start waits for the process that holds `data`.
    pub data_wait: Duration,
    /// Embedded: the folder of component files; `None` when none is named and the default one does
    /// not exist.
    pub components: Option<PathBuf>,
    /// Embedded: where other processes reach the same API, if they may. Sidecar: where it calls back, its app port.
    pub listen: Option<SocketAddr>,
    /// Embedded, without a token: the hosts by which `listen` may be called beside this machine's own, each with or
    /// without a port.
    pub allowed_hosts: Vec<String>,
    /// Embedded, without a token: the origins of pages that may call `listen`.
    pub allowed_origins: Vec<String>,
    /// Embedded: as which app the processes that use `listen` call.
    pub app_id: AppId,
    /// Embedded: where the process that calls as `app_id` takes events, jobs, bindings and invocations; Dapr's app
    /// port.
    pub app_address: Option<Authority>,
    /// Embedded: whether components of types that are not embedded get the embedded one of the same
    /// building block.
    pub substitute: bool,
    /// Sidecar: its address, scheme and authority only.
    pub sidecar: Uri,
    /// Sidecar: whether calls between packages of this gateway stay in process.
    pub invoke_local: bool,
    /// Sent to the sidecar, and asked of other processes that use `listen` (`DAPR_API_TOKEN`).
    pub api_token: Option<Secret>,
    /// Sidecar: whether it is shared by all packages or stands beside one.
    pub topology: Topology,
    /// Asked of the sidecar when it delivers (`APP_API_TOKEN`).
    pub app_token: Option<Secret>,
    /// Embedded: what `envRef` and `secretKeyRef` of component files see.
    pub environment: Variables,
    /// Embedded: the variables of it that packages may read as secrets.
    pub secret_env: Globs,
    /// Embedded: what a package may keep whose own quotas do not say it.
    pub quotas: Quotas,
}

/// The provider of the building blocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DaprMode {
    /// The gateway itself.
    Embedded,
    /// A Dapr sidecar.
    Sidecar,
}

/// The keys of `[dapr]`.
pub(super) const KEYS: [&str; 15] = [
    "mode",
    "data",
    "data_wait",
    "components",
    "listen",
    "allowed_hosts",
    "allowed_origins",
    "app_id",
    "app_address",
    "substitute",
    "sidecar",
    "invoke_local",
    "dedicated",
    "secret_env",
    "quotas",
];

impl DaprConfig {
    /// Reads the section; paths are resolved against `folder`.
    pub(super) fn read(root: &Section<'_>, folder: &Path, environment: &Environment, notes: &Notes<'_>) -> Self {
        let section = root.section("dapr", &KEYS);
        let section = section.as_ref();
        let data = section
            .and_then(|s| s.text("data", DATA))
            .map_or(DATA, |item| item.value);
        let data_wait = section.and_then(|s| s.parsed("data_wait", "60s", |text| unit::duration(text, &DATA_WAITS)));
        let sidecar = section.and_then(|s| s.parsed("sidecar", SIDECAR, sidecar));
        let mode = section.and_then(|s| s.parsed("mode", "embedded", DaprMode::parse));
        let mode = mode.unwrap_or(DaprMode::Embedded);
        let listed = |key, example, check: fn(&str) -> Result<String, Diagnostic>| -> Vec<String> {
            let items = section.and_then(|s| s.texts(key, example));
            let items = items.unwrap_or_default();
            items.iter().filter_map(|item| item.parsed(check)).collect()
        };
        let listen = section.and_then(|s| s.parsed("listen", "127.0.0.1:3500", unit::address));
        let dedicated = section.and_then(|s| s.parsed("dedicated", "counter-api", PackageName::parse));
        Self {
            mode,
            data: folder.join(data),
            data_wait: data_wait.unwrap_or(DATA_WAIT),
            components: components(section, folder),
            listen: listen.or((mode == DaprMode::Sidecar).then_some(APP_PORT)),
            allowed_hosts: listed("allowed_hosts", "wasmgate.internal", host),
            allowed_origins: listed("allowed_origins", "http://localhost:5173", origin),
            app_id: section
                .and_then(|s| s.parsed("app_id", APP_ID, PackageName::parse))
                .map_or_else(|| AppId::from_static(APP_ID), |name| name.app_id().clone()),
            app_address: section.and_then(|s| s.parsed("app_address", "127.0.0.1:6001", app_address)),
            substitute: section.and_then(|s| s.flag("substitute")).unwrap_or(false),
            sidecar: sidecar.unwrap_or_else(|| sidecar_of(notes, environment)),
            invoke_local: section.and_then(|s| s.flag("invoke_local")).unwrap_or(true),
            api_token: environment::token(notes, "DAPR_API_TOKEN", environment.dapr_api_token.as_ref()),
            topology: dedicated.map_or(Topology::Shared, |name| {
                Topology::Dedicated(name.app_id().clone())
            }),
            app_token: environment::token(notes, "APP_API_TOKEN", environment.app_api_token.as_ref()),
            environment: environment.variables.clone(),
            secret_env: listed("secret_env", "SHOP_*", variable)
                .into_iter()
                .filter_map(|name| Glob::parse(&name).ok())
                .collect(),
            quotas: section.map_or_else(Quotas::default, |s| quotas::read(s, Quotas::default())),
        }
    }
}

impl DaprConfig {
    /// Notes apps that are named and are none of the `packages`, or are one of them and may not be.
    pub(super) fn check_apps<'p>(
        &self,
        notes: &Notes<'_>,
        positions: &BTreeMap<String, Spot>,
        packages: impl Iterator<Item = (&'p str, Option<&'p PackageConfig>)> + Clone,
    ) {
        let add = |key: &str, wrong| notes.add(positions.get(key).cloned(), key, wrong);
        // What one that is wrong would use is not known.
        let has_table = |package: Option<&PackageConfig>| package.is_none_or(PackageConfig::uses_building_blocks);
        let mut granted = packages.clone().filter(|(_, package)| has_table(*package));
        if let Topology::Dedicated(app) = &self.topology
            && !granted.any(|(name, _)| name == app.as_str())
        {
            let wrong = Diagnostic::new(
                Code::UnknownName,
                format!("{:?} is no package with a `dapr` table", app.as_str()),
                "name the package that the sidecar stands beside, or remove the key to share the sidecar",
            );
            add("dapr.dedicated", wrong);
        }
        let app = self.app_id.as_str();
        if self.app_address.is_some() && packages.clone().any(|(name, _)| name == app) {
            let wrong = Diagnostic::new(
                Code::Conflict,
                format!("{app:?} is a package, and the process at app_address has the same app-id"),
                "give the process another app-id with app_id",
            );
            add("dapr.app_address", wrong);
        }
    }
}

impl DaprMode {
    fn parse(text: &str) -> Result<Self, Diagnostic> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "sidecar" => Ok(Self::Sidecar),
            _ => Err(Diagnostic::new(
                Code::UnknownName,
                format!("there is no mode {text:?}"),
                "write \"embedded\" for building blocks in the gateway, or \"sidecar\" for a Dapr sidecar",
            )),
        }
    }
}

/// The folder of component files: the one that is named must exist, the default one need not.
fn components(section: Option<&Section<'_>>, folder: &Path) -> Option<PathBuf> {
    let Some(item) = section.and_then(|s| s.text("components", COMPONENTS)) else {
        return Some(folder.join(COMPONENTS)).filter(|path| path.is_dir());
    };
    let path = folder.join(item.value);
    if !path.is_dir() {
        item.refuse(Diagnostic::new(
            Code::FileMissing,
            format!("there is no folder {}", path.display()),
            "name the folder of Dapr component files, or remove the key",
        ));
    }
    Some(path)
}

/// An address as the authority of requests to it.
fn app_address(text: &str) -> Result<Authority, Diagnostic> {
    let address = unit::address(text)?.to_string();
    address.parse().map_err(|_| unit::not_an_address(text))
}

/// A host as clients name it, with or without a port.
fn host(text: &str) -> Result<String, Diagnostic> {
    let authority: Option<Authority> = text.parse().ok();
    let named = authority.filter(|named| !named.host().is_empty() && !text.contains(['@', '*']));
    named.map(|named| named.to_string()).ok_or_else(|| {
        Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is not a host"),
            "write a name or an address, with a port or without: \"wasmgate.internal\"",
        )
    })
}

/// The name of a variable of the environment, or a pattern of names.
fn variable(text: &str) -> Result<String, Diagnostic> {
    if text.is_empty() || text.contains(['=', '/', '\0']) || text.contains(char::is_whitespace) {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is not the name of an environment variable"),
            "write names, with * for any run of characters: \"DATABASE_URL\", \"SHOP_*\"",
        ));
    }
    Ok(text.to_owned())
}

/// An origin as browsers write it: scheme, host, and the port unless it is the scheme's own.
fn origin(text: &str) -> Result<String, Diagnostic> {
    let named = text
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        .and_then(|(_, authority)| host(authority).ok());
    named.map(|_| text.to_owned()).ok_or_else(|| {
        Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is not the origin of a page"),
            "write scheme and host, and the port if there is one: \"http://localhost:5173\"",
        )
    })
}

fn sidecar(text: &str) -> Result<Uri, Diagnostic> {
    let invalid = || {
        Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is not the address of a sidecar"),
            format!("write scheme, host and port only, such as {SIDECAR:?}"),
        )
    };
    let uri: Uri = text.parse().map_err(|_| invalid())?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().is_some_and(|a| {
        let port = a.as_str() == a.host() || a.port_u16().is_some_and(|port| port != 0);
        port && !a.host().is_empty()
    });
    if scheme && authority && uri.path() == "/" && uri.query().is_none() {
        Ok(uri)
    } else {
        Err(invalid())
    }
}

/// The sidecar that the environment names, or the default one.
fn sidecar_of(notes: &Notes<'_>, environment: &Environment) -> Uri {
    let (variable, address) = match environment {
        Environment {
            dapr_http_endpoint: Some(endpoint),
            ..
        } => ("DAPR_HTTP_ENDPOINT", endpoint.clone()),
        Environment {
            dapr_http_port: Some(port),
            ..
        } => ("DAPR_HTTP_PORT", format!("http://localhost:{port}")),
        _ => return Uri::from_static(SIDECAR),
    };
    sidecar(&address).unwrap_or_else(|wrong| {
        notes.add(None, &format!("environment variable {variable}"), wrong);
        Uri::from_static(SIDECAR)
    })
}
