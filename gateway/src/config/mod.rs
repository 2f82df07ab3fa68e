//! `wasmgate.toml`: parsed and checked as a whole, with all mistakes reported at once.
//!
//! The text becomes a tree of values with positions. Each section reads its keys into a checked type and notes
//! mistakes; with any mistake the result is [`Rejected`] instead of a [`Config`]. A [`Config`] is consistent, and the
//! files that it names exist, except for those that a build command makes. Whether they are valid components is checked
//! when they are loaded, and reported with [`Config::diagnostics`].

mod blobstore;
mod build;
mod certificate;
mod config_store;
mod dapr;
mod document;
mod env_file;
mod environment;
mod files;
mod fill;
mod grants;
mod input;
mod keyvalue;
mod kind;
mod limits;
mod lines;
mod listeners;
mod log;
mod next;
mod origin;
mod outbound;
mod own;
mod package;
mod quotas;
mod rate_limit;
mod reader;
mod reference;
mod registry;
mod rejected;
mod restart;
mod route;
mod schema;
mod secret;
mod server;
mod server_tls;
mod started;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod unit;
mod validity;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::de::DeTable;
use wasmgate_common::{Diagnostic, Diagnostics, OwnPlaces, Place};

pub use blobstore::Container;
pub use build::{BuildConfig, SourceGlob};
pub use config_store::ConfigStore;
pub use dapr::{DaprConfig, DaprMode};
pub use environment::Environment;
pub use files::Mount;
pub use input::{Input, MAX_FILE};
pub use keyvalue::{Bucket, KeyValue};
#[cfg(test)]
pub(crate) use kind::CGI_VARIABLES;
pub use kind::Kind;
pub use limits::Limits;
pub(crate) use listeners::clashes;
pub use log::LogConfig;
pub use origin::Origin;
pub use outbound::{OutboundConfig, Proxies};
pub use package::{PackageConfig, PackageName, Source};
pub(crate) use reference::is_loopback;
pub use reference::{Reference, Sha256Digest, parse_digest, show_digest};
pub(crate) use registry::MAX_CREDENTIALS;
pub use registry::{RegistryConfig, RegistryHost, VerifyKey};
pub use rejected::Rejected;
pub use schema::schema;
pub use secret::{Secret, Variables};
pub use server::Server;
pub(crate) use server_tls::shown;
pub use server_tls::{ServerTls, Stamps};
pub use table::table;
pub use tls::TlsConfig;

use crate::routes::Route;
pub(crate) use reader::nearest;
use reader::{Notes, Section, Spot};

/// The tables of the file.
const KEYS: [&str; 7] = [
    "server", "log", "limits", "registry", "dapr", "package", "route",
];

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// All that it was read from, to read it again.
    pub input: Input,
    /// The listeners, and the limits of connections.
    pub server: Server,
    /// What the log has.
    pub log: LogConfig,
    /// Dapr's building blocks.
    pub dapr: DaprConfig,
    /// The ways of outgoing requests: the proxies they go through, and the authorities they trust.
    pub outbound: OutboundConfig,
    /// How components are fetched from registries.
    pub registry: RegistryConfig,
    /// The packages, in the order of names.
    pub packages: Vec<PackageConfig>,
    /// The routes, in the order of the file.
    pub routes: Vec<Route>,
    /// The gateway's own files and folders, which are no folders for guests.
    pub own: OwnPlaces,
    positions: BTreeMap<String, Spot>,
}

/// Reads and checks a file and the process environment.
///
/// # Errors
/// With everything that is wrong.
pub fn load(file: &Path) -> Result<Config, Rejected> {
    Input::new(file).load()
}

/// Checks the text of a file. Relative paths in it are relative to the folder of `file`.
///
/// # Errors
/// With everything that is wrong.
pub fn parse(text: &[u8], file: &Path, environment: &Environment) -> Result<Config, Rejected> {
    let text = Text {
        file,
        text: input::readable(text, file)?,
    };
    check(&[text], &Input::new(file), environment, &BTreeMap::new())
}

/// The text of one file.
struct Text<'t> {
    file: &'t Path,
    text: &'t str,
}

/// Checks texts that are laid over each other; `${NAME}` stands for one of the `variables` or of the environment.
fn check(
    texts: &[Text<'_>],
    input: &Input,
    environment: &Environment,
    variables: &BTreeMap<String, String>,
) -> Result<Config, Rejected> {
    let notes = Notes::new(texts.iter().map(|text| (text.file, text.text)));
    let document = tree(texts, &notes).and_then(|mut tree| {
        let variable = |name: &str| {
            let all = [variables, environment.variables.reveal()];
            all.iter().find_map(|all| all.get(name)).cloned()
        };
        let before = notes.count();
        document::fill_texts(&mut tree, &mut |key, at, text| {
            notes.fill(key, &at, text, variable)
        });
        (notes.count() == before).then_some(tree)
    });
    match document {
        Some(document) => read(&document, input, environment, &notes),
        None => Err(Rejected::new(&input.file, notes.take(), None)),
    }
}

/// All texts as one tree, unless one of them is no TOML.
fn tree<'t>(texts: &[Text<'t>], notes: &Notes<'_>) -> Option<DeTable<'t>> {
    let mut whole = DeTable::default();
    let mut start = 0;
    let before = notes.count();
    for Text { text, .. } in texts {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut last = None;
        for error in &errors {
            let at = error
                .span()
                .map(|at| notes.spot(&document::moved(at, start)));
            let wrong = syntax::mistake(error, text);
            // The parser may have two things to say of one value.
            let told = Some((
                at.clone().map(|spot| spot.position.line),
                wrong.message.clone(),
            ));
            if told != last {
                notes.add(at, "", wrong);
            }
            last = told;
        }
        document::lay_over(&mut whole, document::shifted(document.into_inner(), start));
        // One further: no place is in two texts.
        start += text.len() + 1;
    }
    (notes.count() == before).then_some(whole)
}

/// Reads a whole tree.
fn read(
    document: &DeTable<'_>,
    input: &Input,
    environment: &Environment,
    notes: &Notes<'_>,
) -> Result<Config, Rejected> {
    let file = input.file.as_path();
    let folder = file.parent().unwrap_or(Path::new(""));
    let root = Section::root(notes, document, &KEYS);
    let server = Server::read(&root, folder, environment, notes);
    let log = LogConfig::read(&root);
    let dapr = DaprConfig::read(&root, folder, environment, notes);
    let outbound = OutboundConfig::read(environment, notes);
    let registry = RegistryConfig::read(&root, folder, environment, &outbound);
    let positions = root.spots(&["server", "dapr"]);
    listeners::check(notes, &positions, &server, &dapr);
    let defaults = Limits::default().overridden_in(&root);
    let own = own::Own::new(folder, input, document, &server, &dapr, &registry);
    let packages = PackageConfig::read_all(
        &root,
        &own,
        (defaults, dapr.quotas),
        &registry,
        server.strict,
    );
    next::check(notes, &packages);
    let routes = route::read_all(&root, &packages);
    let written = packages
        .iter()
        .map(|(name, package)| (*name, package.as_ref()));
    dapr.check_apps(notes, &positions, written);
    let config = Config {
        file: file.to_owned(),
        input: input.clone(),
        server,
        log,
        dapr,
        outbound,
        registry,
        // Where no mistake was noted, all are here and keep their indices.
        packages: packages
            .into_iter()
            .filter_map(|(_, package)| package)
            .collect(),
        routes,
        own: own.into_places(),
        positions,
    };
    let mistakes = notes.take();
    if mistakes.is_empty() {
        Ok(config)
    } else {
        Err(Rejected::new(file, mistakes, Some(config)))
    }
}

impl Config {
    /// Returns whether anybody may call the building blocks.
    pub fn uses_building_blocks(&self) -> bool {
        let granted = self
            .packages
            .iter()
            .any(PackageConfig::uses_building_blocks);
        let outside = self.dapr.listen.is_some() || self.dapr.app_address.is_some();
        let served = self.dapr.mode == DaprMode::Embedded && outside;
        granted || served
    }

    /// Gives a mistake that was found later, such as a port in use, its place: `key` is a key of `[server]` or `[dapr]`
    /// with its table, such as `server.listen`.
    pub fn at_key(&self, key: &str, wrong: Diagnostic) -> Diagnostic {
        wrong.at(match self.positions.get(key) {
            Some(spot) => spot.place(key),
            None => Place::in_file(self.file.as_path().into(), None, key),
        })
    }

    /// Gives a mistake that was found in a package's component its place.
    pub fn at_source(&self, package: &PackageConfig, wrong: Diagnostic) -> Diagnostic {
        let key = format!("package.{}.source", package.name);
        wrong.at(package.source_at.place(&key))
    }

    /// Gives a mistake that was found in building a package its place.
    pub fn at_build(&self, package: &PackageConfig, wrong: Diagnostic) -> Diagnostic {
        match &package.build {
            Some(build) => wrong.at(build
                .command_at
                .place(&format!("package.{}.build.command", package.name))),
            None => self.at_source(package, wrong),
        }
    }

    /// A list of mistakes that were found later.
    pub fn diagnostics(&self, mistakes: Vec<Diagnostic>) -> Diagnostics {
        Diagnostics::new(&self.file, mistakes)
    }
}
