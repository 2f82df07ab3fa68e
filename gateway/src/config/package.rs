//! `[package.NAME]`: a component, and what it may use.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use wasmgate_common::{AppId, Code, Diagnostic};
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
    reference::{self, Reference, Sha256Digest},
    registry::{RegistryConfig, VerifyKey},
    started,
    tls::TlsConfig,
};
use crate::{engine::EngineKind, rate_limit::RateLimitConfig};

/// The longest name: a DNS label (RFC 1035, 2.3.4), since Dapr's name resolution uses app-ids as such.
const MAX_NAME: usize = 63;

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

/// A package's name: lower-case letters, digits and `-`, a DNS label. Cloning copies a pointer.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PackageName(AppId);

/// The source of a component.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// A file, resolved against the folder of the configuration. It existed and was not empty, unless a build command
    /// makes it.
    File(PathBuf),
    /// A component in a registry, which is pulled before it is registered.
    Registry(Reference),
}

impl Source {
    /// The file; `None` for what is in a registry.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Registry(_) => None,
        }
    }

    /// Returns whether there is something to be served, or it is elsewhere and is pulled.
    pub fn is_there(&self) -> bool {
        let is_full = |file: &Path| fs::metadata(file).is_ok_and(|found| found.len() > 0);
        self.file().is_none_or(is_full)
    }
}

impl PackageName {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is no lower-case DNS label.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let wrong = if text.is_empty() {
            "is empty"
        } else if text.len() > MAX_NAME {
            "is longer than 63 bytes"
        } else if text.starts_with('-') || text.ends_with('-') {
            "starts or ends with \"-\""
        } else if !text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            "has characters other than a-z, 0-9 and \"-\""
        } else {
            match AppId::new(text) {
                Ok(app) => return Ok(Self(app)),
                Err(_) => "is no app-id",
            }
        };
        let likely: String = text
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(MAX_NAME)
            .collect();
        let likely = likely.trim_matches('-');
        let likely = if likely.is_empty() {
            "counter-api"
        } else {
            likely
        };
        Err(Diagnostic::new(
            Code::InvalidValue,
            format!("the package name {text:?} {wrong}"),
            format!("a name is a Dapr app-id and a DNS label: write, for example, {likely:?}"),
        ))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The app that the package is to Dapr, which has its name.
    pub fn app_id(&self) -> &AppId {
        &self.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
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
        let source = source(section, folder, strict);
        let build = BuildConfig::read(section, folder);
        if build.is_some() && matches!(source, Some(Source::Registry(_))) {
            let wrong = Diagnostic::new(
                Code::Conflict,
                "a component from a registry is not built here",
                "remove `build`, or name the file that it makes in `source`",
            );
            section.refuse_key("build", wrong);
        }
        let sha256 = section.parsed("sha256", EXAMPLE_DIGEST, digest);
        let verify = verify(section, source.as_ref(), folder);
        let compiled = compiled(section, source.as_ref(), verify.as_ref(), registry);
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

/// A digest as it is written: that of nothing at all.
const EXAMPLE_DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn digest(text: &str) -> Result<Sha256Digest, Diagnostic> {
    let mut digest = Sha256Digest::default();
    match hex::decode_to_slice(text, &mut digest) {
        Ok(()) => Ok(digest),
        Err(error) => Err(Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is no SHA-256 digest: {error}"),
            "write the 64 hexadecimal digits that `sha256sum` prints of the file",
        )),
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

/// Unless `strict`, a file that is not there or cannot be read is the package's matter, and no mistake here.
fn source(package: &Section<'_>, folder: &Path, strict: bool) -> Option<Source> {
    if !package.has("source") {
        package.refuse(Diagnostic::new(
            Code::MissingKey,
            "the package has no source",
            "add source = \"path/to/component.wasm\"",
        ));
        return None;
    }
    package.parsed(
        "source",
        "target/wasm32-wasip2/release/hello.wasm",
        |text| {
            if text.starts_with(reference::SCHEME) {
                return Reference::parse(text).map(Source::Registry);
            }
            if let Some((scheme, _)) = text.split_once("://") {
                return Err(Diagnostic::new(
                    Code::Unsupported,
                    format!("sources at {scheme}:// are not supported"),
                    "write the path of the component's file, or where a registry has it: \"oci://registry/name:tag\"",
                ));
            }
            let path = folder.join(text);
            check_file(text, &path, package.has("build"), strict)?;
            Ok(Source::File(path))
        },
    )
}

fn verify(package: &Section<'_>, source: Option<&Source>, folder: &Path) -> Option<VerifyKey> {
    let key = package.parsed("verify", "cosign.pub", |text| {
        VerifyKey::read(&folder.join(text))
    });
    if key.is_some() && matches!(source, Some(Source::File(_))) {
        package.refuse_key(
            "verify",
            Diagnostic::new(
                Code::Conflict,
                "a file has no signature: cosign signs what is in a registry",
                "remove `verify`, or write the digest of the file in `sha256`",
            ),
        );
    }
    key
}

/// Whether compiled code is taken, which somebody has to answer for.
fn compiled(
    package: &Section<'_>,
    source: Option<&Source>,
    verify: Option<&VerifyKey>,
    registry: &RegistryConfig,
) -> bool {
    let compiled = package.flag("compiled").unwrap_or_default();
    let is_answered_for = |reference: &Reference| {
        let of_host = || registry.host(reference.registry())?.verify.as_ref();
        verify.or_else(of_host).is_some() || reference.digest().is_some()
    };
    let refusal = match source {
        Some(Source::File(_)) if compiled => Some((
            "a file has no compiled code beside it: it is compiled here",
            "remove `compiled`, or name the component in its registry",
        )),
        Some(Source::Registry(reference)) if compiled && !is_answered_for(reference) => Some((
            "compiled code is native code, and anybody who may push to the registry could have put it there",
            "name the key of who compiles in `verify`, or the manifest in `source`, by @sha256: and its digest",
        )),
        _ => None,
    };
    if let Some((wrong, help)) = refusal {
        package.refuse_key("compiled", Diagnostic::new(Code::Conflict, wrong, help));
    }
    compiled
}

fn check_file(text: &str, path: &Path, is_built: bool, strict: bool) -> Result<(), Diagnostic> {
    let shown = path.display();
    if text.is_empty() {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            "the source is empty",
            "write the path of the component's file",
        ));
    }
    if !strict {
        return Ok(());
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(Diagnostic::new(
            Code::FileUnreadable,
            format!("{shown} is a directory"),
            "write the path of the component's file in it",
        )),
        Err(error) if is_built && error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 && !is_built => Err(Diagnostic::new(
            Code::NotAComponent,
            format!("{shown} is empty"),
            "build the component again",
        )),
        Ok(metadata) if !metadata.is_file() => Err(Diagnostic::new(
            Code::FileUnreadable,
            format!("{shown} is a pipe, a socket or a device, and no file"),
            "write the path of the component's file",
        )),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Diagnostic::new(
            Code::FileMissing,
            format!("there is no file {shown}"),
            if text.starts_with('~') {
                "write the path in full, or ${HOME} in place of \"~\", which a shell alone replaces"
            } else {
                "build the component, or correct the path (it is relative to the configuration file)"
            },
        )),
        Err(error) => Err(Diagnostic::new(
            Code::FileUnreadable,
            format!("{shown} cannot be read: {error}"),
            "make the file readable for the user that runs the gateway",
        )),
    }
}
