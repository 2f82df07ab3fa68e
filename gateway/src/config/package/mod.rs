//! `[package.NAME]`: a component, and what it may use.

mod name;
mod source;

use std::collections::BTreeMap;

use wasmgate_common::{Code, Diagnostic};
use wasmgate_dapr::{Grants, Quotas};

use super::{
    blobstore::{self, Container},
    build::BuildConfig,
    config_store::{self, ConfigStore},
    files::{self, Mount},
    grants,
    keyvalue::{self, KeyValue},
    kind::{self, Kind},
    limits::Limits,
    origin::Origin,
    own::Own,
    rate_limit,
    reader::{Section, Spot, one_of},
    reference::Sha256Digest,
    registry::{RegistryConfig, VerifyKey},
    started,
    tls::TlsConfig,
};
use crate::{engine::EngineKind, rate_limit::RateLimitConfig};

pub use name::PackageName;
pub use source::Source;

/// Checked `[package.NAME]`.
#[derive(Clone, Debug)]
pub struct PackageConfig {
    /// The name, which is the Dapr app-id.
    pub name: PackageName,
    /// The source of the component.
    pub source: Source,
    /// The position of `source`, for what is found wrong with the component itself.
    pub source_at: Spot,
    /// How the component is built; `None` for one that is built elsewhere.
    pub build: Option<BuildConfig>,
    /// How the component is called.
    pub kind: Kind,
    /// The package that a middleware passes its requests on to.
    pub next: Option<PackageName>,
    /// The position of `next`.
    pub(super) next_at: Option<Spot>,
    /// The digest that the component must have; `None` takes what is there.
    pub sha256: Option<Sha256Digest>,
    /// The key by which it must be signed in its registry; `None` for what is said of the registry.
    pub verify: Option<VerifyKey>,
    /// Whether its registry's compiled code is taken where it fits; it is signed or its source pinned then.
    pub compiled: bool,
    /// The engine it is to run in; `None` for the one that suits its component.
    pub engine: Option<EngineKind>,
    /// Its start-up is done once, when it is registered, and kept.
    pub snapshot: bool,
    /// A program's arguments behind its name.
    pub args: Vec<String>,
    /// The requests that one instance may answer, one after the other.
    pub reuse: usize,
    /// The guest's environment, in the order of names.
    pub env: Vec<(String, String)>,
    /// The origins that the guest may send requests to.
    pub outbound: Vec<Origin>,
    /// Its own way of TLS there; `None` for the usual one.
    pub tls: Option<TlsConfig>,
    /// Its limits.
    pub limits: Limits,
    /// The limit on the rate of its requests from outside, by whatever route; `None` for none.
    pub rate_limit: Option<RateLimitConfig>,
    /// Its use of Dapr's building blocks; [`Grants::none`] without a `dapr` table.
    pub grants: Grants,
    /// The buckets of `wasi:keyvalue` that its guests may open.
    pub keyvalue: KeyValue,
    /// The configuration store whose items `wasi:config` has beside `env`.
    pub config: Option<ConfigStore>,
    /// The folders that its guests may read.
    pub files: Vec<Mount>,
    /// The containers of `wasi:blobstore` that its guests may use, by their names.
    pub blobstore: BTreeMap<String, Container>,
}

/// The keys of `[package.NAME]`.
const KEYS: [&str; 21] = [
    "source",
    "kind",
    "next",
    "build",
    "sha256",
    "verify",
    "compiled",
    "engine",
    "snapshot",
    "args",
    "reuse",
    "env",
    "outbound",
    "tls",
    "limits",
    "rate_limit",
    "dapr",
    "keyvalue",
    "config",
    "files",
    "blobstore",
];

impl PackageConfig {
    /// Returns whether it may use any of the building blocks, by whatever interface.
    pub fn uses_building_blocks(&self) -> bool {
        !self.grants.is_none() || !self.keyvalue.is_none() || self.config.is_some()
    }

    /// Returns whether another configuration says the same of this package, wherever it says it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let Self {
            name,
            source,
            source_at: _,
            // What is served is the same, whoever made it.
            build: _,
            kind,
            next,
            next_at: _,
            sha256,
            verify,
            compiled,
            engine,
            snapshot,
            args,
            reuse,
            env,
            outbound,
            tls,
            limits,
            rate_limit,
            grants,
            keyvalue,
            config,
            files,
            blobstore,
        } = self;
        *name == other.name
            && *source == other.source
            && *kind == other.kind
            && *next == other.next
            && *sha256 == other.sha256
            && *verify == other.verify
            && *compiled == other.compiled
            && *engine == other.engine
            && *snapshot == other.snapshot
            && *args == other.args
            && *reuse == other.reuse
            && *env == other.env
            && *outbound == other.outbound
            && *tls == other.tls
            && *limits == other.limits
            && *rate_limit == other.rate_limit
            && *grants == other.grants
            && *keyvalue == other.keyvalue
            && *config == other.config
            && *files == other.files
            && *blobstore == other.blobstore
    }

    /// Reads every package, in the order of names, each with its name as written; `None` for one that
    /// is wrong. Paths are resolved against the folder of the configuration.
    pub(super) fn read_all<'a>(
        root: &Section<'a>,
        own: &Own<'_>,
        defaults: (Limits, Quotas),
        registry: &RegistryConfig,
        strict: bool,
    ) -> Vec<(&'a str, Option<Self>)> {
        let packages = root.named("package").map(|(name, value)| {
            let checked = name.parsed(PackageName::parse);
            let section = value.section(&KEYS);
            (
                name.value,
                section.and_then(|s| Self::read(checked, &s, own, defaults, registry, strict)),
            )
        });
        packages.collect()
    }

    /// Reads one package. Everything is read before the first thing that is missing gives up, so that
    /// every mistake is noted.
    fn read(
        name: Option<PackageName>,
        section: &Section<'_>,
        own: &Own<'_>,
        (limits, quotas): (Limits, Quotas),
        registry: &RegistryConfig,
        strict: bool,
    ) -> Option<Self> {
        let folder = own.folder;
        let source = source::source(section, folder, strict);
        let build = BuildConfig::read(section, folder);
        if build.is_some() && matches!(source, Some(Source::Registry(_))) {
            let wrong = Diagnostic::new(
                Code::Conflict,
                "a component from a registry is not built here",
                "remove `build`, or name the file that it makes in `source`",
            );
            section.refuse_key("build", wrong);
        }
        let sha256 = section.parsed("sha256", source::EXAMPLE_DIGEST, source::digest);
        let verify = source::verify(section, source.as_ref(), folder);
        let compiled = source::compiled(section, source.as_ref(), verify.as_ref(), registry);
        let kind = section.parsed("kind", kind::HTTP, Kind::parse);
        let kind = kind.unwrap_or_default();
        let next = section.parsed("next", "shop", PackageName::parse);
        let env = started::env(section, kind);
        let args = started::args(section, kind);
        let outbound = section
            .texts("outbound", "https://api.example.com")
            .unwrap_or_default();
        let outbound = outbound
            .iter()
            .filter_map(|item| item.parsed(Origin::parse))
            .collect();
        let tls = TlsConfig::read(section, folder);
        let limits = limits.overridden_in(section);
        let rate_limit = rate_limit::read(section);
        let grants = grants::read(section, quotas);
        let snapshot = section.flag("snapshot").unwrap_or(false);
        let reuse = reuse(section, kind);
        let keyvalue = keyvalue::read(section);
        let config = config_store::read(section);
        let files = files::read(section, own);
        let blobstore = blobstore::read(section, own);
        let engine = section.parsed("engine", AUTO_ENGINE, engine).flatten();
        Some(Self {
            name: name?,
            source: source?,
            source_at: section.spot_of("source")?,
            build,
            kind,
            next_at: next.as_ref().and_then(|_| section.spot_of("next")),
            next,
            sha256,
            verify,
            compiled,
            engine,
            snapshot,
            args,
            reuse,
            env,
            outbound,
            tls,
            limits,
            rate_limit,
            grants,
            keyvalue,
            config,
            files,
            blobstore,
        })
    }
}

/// The `engine` that leaves the choice to the gateway.
const AUTO_ENGINE: &str = "auto";

fn engine(text: &str) -> Result<Option<EngineKind>, Diagnostic> {
    let engines = [EngineKind::Pool, EngineKind::CopyOnWrite];
    match engines.into_iter().find(|engine| engine.name() == text) {
        Some(engine) => Ok(Some(engine)),
        None if text == AUTO_ENGINE => Ok(None),
        None => Err(Diagnostic::new(
            Code::UnknownName,
            format!("there is no engine {text:?}"),
            format!("write {}", one_of(&[AUTO_ENGINE, "pool", "copy-on-write"])),
        )),
    }
}

/// The most requests of one instance: by then its start has long stopped to matter, and what it leaks has not.
const MOST_REUSE: usize = 100_000;

fn reuse(package: &Section<'_>, kind: Kind) -> usize {
    let reuse = package.count("reuse", 1..=MOST_REUSE).unwrap_or(1);
    if reuse > 1 && kind == Kind::Cgi {
        let wrong = Diagnostic::new(
            Code::Conflict,
            "a program of CGI runs once from its start to its end, and answers one request",
            "remove `reuse`, which is for components of `wasi:http/service@0.3`",
        );
        package.refuse_key("reuse", wrong);
    }
    reuse
}
