//! A configuration, written piece by piece and served.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::guest;
use super::process::TestGateway;

/// A `wasmgate.toml` in the making: free ports and the compiled-code cache that tests share, unless
/// said otherwise.
#[derive(Default)]
pub(crate) struct Builder {
    server: String,
    limits: String,
    packages: String,
    routes: String,
    cache: Option<PathBuf>,
}

impl Builder {
    /// Adds lines to `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        let _ = writeln!(self.server, "{lines}");
        self
    }

    /// Adds lines to `[limits]`.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        let _ = writeln!(self.limits, "{lines}");
        self
    }

    /// Keeps compiled code in a folder of the test's own.
    pub(crate) fn cache(mut self, folder: &Path) -> Self {
        self.cache = Some(folder.to_owned());
        self
    }

    /// A package made of any file, with more lines for its table.
    pub(crate) fn package(mut self, name: &str, source: &Path, lines: &str) -> Self {
        let _ = writeln!(
            self.packages,
            "[package.{name}]\nsource = {}\n{lines}\n",
            quoted(source)
        );
        self
    }

    /// A test guest as a package of its own name, routed at `/NAME` (dashes for underscores).
    pub(crate) fn guest(self, example: &str) -> Self {
        self.guest_with(example, "")
    }

    /// Like [`Builder::guest`], with more lines for the package's table.
    pub(crate) fn guest_with(self, example: &str, lines: &str) -> Self {
        let name = example.replace('_', "-");
        self.package(&name, &guest(example), lines)
            .route(&format!("/{name}"), &name)
    }

    /// A route without conditions.
    pub(crate) fn route(self, path: &str, package: &str) -> Self {
        self.route_with(path, package, "")
    }

    /// A route with more lines for its table.
    pub(crate) fn route_with(mut self, path: &str, package: &str, lines: &str) -> Self {
        let _ = writeln!(
            self.routes,
            "[[route]]\npath = \"{path}\"\npackage = \"{package}\"\n{lines}\n"
        );
        self
    }

    /// The configuration as text.
    pub(crate) fn toml(&self) -> String {
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        let cache = quoted(self.cache.as_deref().unwrap_or(&shared));
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ncache = {cache}\n{}\n\
             [limits]\n{}\n{}{}",
            self.server, self.limits, self.packages, self.routes
        )
    }

    /// Starts a gateway with it and waits until it serves.
    pub(crate) fn start(&self) -> TestGateway {
        TestGateway::start(&self.toml())
    }
}

/// A path as a TOML literal string.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
