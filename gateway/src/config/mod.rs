//! `wasmgate.toml`: read whole, checked whole, every mistake reported at once.
//!
//! The text becomes a tree of values that know their places; each section reads its own keys from it
//! into a checked type and notes what is wrong; if anything was noted there is no [`Config`] but
//! [`Rejected`]. What a [`Config`] says is right in itself and files that it names exist; whether they
//! are components is found out by whoever loads them, and reported with [`Config::diagnostics`].

mod dapr;
mod environment;
mod grants;
mod limits;
mod lines;
mod listeners;
mod origin;
mod outbound;
mod package;
mod reader;
mod rejected;
mod route;
mod secret;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod unit;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::de::DeTable;
use wasmgate_common::{Code, Diagnostic, Diagnostics, Place, Position};

pub use dapr::{DaprConfig, DaprMode};
pub use environment::Environment;
pub use limits::Limits;
pub use origin::Origin;
pub use outbound::{OutboundConfig, Proxies};
pub use package::{PackageConfig, PackageName, Sha256Digest, Source};
pub use rejected::Rejected;
pub use secret::{Secret, Variables};
pub use server::Server;
pub use table::table;
pub use tls::TlsConfig;

use crate::routes::Route;
use reader::{Notes, Section};

/// The largest file, in bytes: some hundred thousand packages, and far from filling memory when the
/// name of a disk image is given by mistake.
pub const MAX_FILE: u64 = 64 << 20;

/// The tables of the file.
const KEYS: [&str; 5] = ["server", "limits", "dapr", "package", "route"];

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The listeners, and the limits of connections.
    pub server: Server,
    /// Dapr's building blocks.
    pub dapr: DaprConfig,
    /// The ways of outgoing requests: the proxies they go through, and the authorities they trust.
    pub outbound: OutboundConfig,
    /// The packages, in the order of names.
    pub packages: Vec<PackageConfig>,
    /// The routes, in the order of the file.
    pub routes: Vec<Route>,
    positions: BTreeMap<String, Position>,
}

/// Reads and checks a file and the process environment.
///
/// # Errors
/// With everything that is wrong.
pub fn load(file: &Path) -> Result<Config, Rejected> {
    let mut text = Vec::new();
    fs::File::open(file)
        .and_then(|opened| opened.take(MAX_FILE + 1).read_to_end(&mut text))
        .map_err(|error| unreadable(file, &error))?;
    parse(&text, file, &Environment::read())
}

/// Checks the text of a file. Relative paths in it are relative to the folder of `file`.
///
/// # Errors
/// With everything that is wrong.
pub fn parse(text: &[u8], file: &Path, environment: &Environment) -> Result<Config, Rejected> {
    let text = readable(text, file)?;
    let (document, errors) = DeTable::parse_recoverable(text);
    let notes = Notes::new(text, file);
    for error in &errors {
        let position = error.span().map(|at| notes.position(&at));
        let wrong = Diagnostic::new(
            Code::Syntax,
            error.message(),
            "correct the TOML (https://toml.io has its rules)",
        );
        notes.add(position, "", wrong);
    }
    if !errors.is_empty() {
        return Err(Rejected::new(file, notes.take(), None));
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let root = Section::root(&notes, document.get_ref(), &KEYS);
    let server = Server::read(&root, folder, environment);
    let dapr = DaprConfig::read(&root, folder, environment, &notes);
    let outbound = OutboundConfig::read(environment, &notes);
    let positions = root.positions(&["server", "dapr"]);
    listeners::check(&notes, &positions, &server, &dapr);
    let defaults = Limits::default().overridden_in(&root);
    let packages = PackageConfig::read_all(&root, folder, defaults);
    let indices: HashMap<&str, usize> = packages
        .iter()
        .enumerate()
        .map(|(i, (name, _))| (*name, i))
        .collect();
    let routes = route::read_all(&root, &indices);
    let written = packages
        .iter()
        .map(|(name, package)| (*name, package.as_ref()));
    dapr.check_apps(&notes, &positions, written);
    let config = Config {
        file: file.to_owned(),
        server,
        dapr,
        outbound,
        // Where no mistake was noted, all are here and keep their indices.
        packages: packages
            .into_iter()
            .filter_map(|(_, package)| package)
            .collect(),
        routes,
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
    /// Gives a mistake that was found later, such as a port in use, its place: `key` is a key of `[server]` or `[dapr]`
    /// with its table, such as `server.listen`.
    pub fn at_key(&self, key: &str, wrong: Diagnostic) -> Diagnostic {
        let position = self.positions.get(key).copied();
        wrong.at(Place::in_file(self.file.as_path().into(), position, key))
    }

    /// Gives a mistake that was found in a package's component its place.
    pub fn at_source(&self, package: &PackageConfig, wrong: Diagnostic) -> Diagnostic {
        let key = format!("package.{}.source", package.name);
        let position = Some(package.source_at);
        wrong.at(Place::in_file(self.file.as_path().into(), position, key))
    }

    /// A list of mistakes that were found later.
    pub fn diagnostics(&self, mistakes: Vec<Diagnostic>) -> Diagnostics {
        Diagnostics::new(&self.file, mistakes)
    }
}

/// The text as UTF-8, if it is that and not too long.
fn readable<'t>(text: &'t [u8], file: &Path) -> Result<&'t str, Rejected> {
    if text.len() as u64 > MAX_FILE {
        let wrong = Diagnostic::new(
            Code::FileTooLong,
            "the file is too long for a configuration",
            format!("name another one, or split it: at most {MAX_FILE} bytes are read"),
        );
        return Err(rejected(file, None, wrong));
    }
    std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let before = String::from_utf8_lossy(before);
        let position = lines::Lines::new(&before).position(before.len());
        let byte = text.get(error.valid_up_to()).copied().unwrap_or_default();
        let wrong = Diagnostic::new(
            Code::Syntax,
            format!("the byte 0x{byte:02X} is not UTF-8"),
            "save the file as UTF-8, which TOML is written in",
        );
        rejected(file, Some(position), wrong)
    })
}

fn unreadable(file: &Path, error: &io::Error) -> Rejected {
    let (code, help) = match error.kind() {
        io::ErrorKind::NotFound => (Code::FileMissing, "write the file, or name another one"),
        io::ErrorKind::IsADirectory => (Code::FileUnreadable, "name the file in the directory"),
        _ => (
            Code::FileUnreadable,
            "make the file readable for the user that runs the gateway",
        ),
    };
    let message = format!("the file cannot be read: {error}");
    rejected(file, None, Diagnostic::new(code, message, help))
}

/// A file that is not read any further.
fn rejected(file: &Path, position: Option<Position>, wrong: Diagnostic) -> Rejected {
    let place = Place::in_file(Arc::from(file), position, "");
    Rejected::new(file, vec![wrong.at(place)], None)
}
