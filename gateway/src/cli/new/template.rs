//! The templates: files that are compiled in, with places to fill.

use clap::ValueEnum;

/// What there is to begin with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Template {
    /// A router, JSON, a test
    Rust,
    /// State, events with a dead-letter topic, a job
    RustDapr,
    /// The files of a folder as a site
    Static,
    /// No package: a configuration with every key commented out
    Empty,
}

/// The path of a file in a package's folder, and its text.
pub(super) type File = (&'static str, &'static str);

macro_rules! file {
    ($path:literal, $text:literal) => {
        ($path, include_str!(concat!("../../../templates/", $text)))
    };
}

/// What every new folder has.
pub(super) const IGNORED: File = file!(".gitignore", "shared/gitignore");
/// How Cargo links a component.
pub(super) const LINKER: File = file!(".cargo/config.toml", "shared/cargo-config.toml");
/// What to type.
pub(super) const README: File = file!("README.md", "shared/README.md");
/// The beginning of a configuration.
pub(super) const CONFIGURATION: File = file!("wasmgate.toml", "shared/wasmgate.toml");

const RUST: [File; 3] = [
    file!("Cargo.toml", "rust/Cargo.toml.in"),
    file!("src/lib.rs", "rust/lib.rs"),
    file!("src/tests.rs", "rust/tests.rs"),
];
const RUST_DAPR: [File; 3] = [
    file!("Cargo.toml", "rust-dapr/Cargo.toml.in"),
    file!("src/lib.rs", "rust-dapr/lib.rs"),
    file!("src/tests.rs", "rust-dapr/tests.rs"),
];
const STATIC: [File; 6] = [
    file!("Cargo.toml", "static/Cargo.toml.in"),
    file!("build.rs", "static/build.rs"),
    file!("src/lib.rs", "static/lib.rs"),
    file!("src/tests.rs", "static/tests.rs"),
    file!("site/index.html", "static/index.html"),
    file!("site/style.css", "static/style.css"),
];
const EMPTY: [File; 2] = [
    file!("README.md", "empty/README.md"),
    file!("wasmgate.toml", "empty/wasmgate.toml"),
];

impl Template {
    /// The files of a package; of a project for the template without one.
    pub(super) fn files(self) -> &'static [File] {
        match self {
            Self::Rust => &RUST,
            Self::RustDapr => &RUST_DAPR,
            Self::Static => &STATIC,
            Self::Empty => &EMPTY,
        }
    }

    /// What `wasmgate.toml` says of the package.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Rust => include_str!("../../../templates/rust/package.toml"),
            Self::RustDapr => include_str!("../../../templates/rust-dapr/package.toml"),
            Self::Static => include_str!("../../../templates/static/package.toml"),
            Self::Empty => "",
        }
    }

    /// What `curl` is to be given to see the package of this name answer.
    pub(super) fn curl(self, name: &str) -> String {
        let url = "http://127.0.0.1:3000";
        match self {
            Self::Rust => format!("{url}/{name}/you"),
            Self::RustDapr => {
                format!("--json '{{\"id\": \"7\", \"drink\": \"latte\"}}' {url}/{name}")
            }
            Self::Static | Self::Empty => format!("{url}/"),
        }
    }
}

/// What the places in a template's text stand for.
pub(super) struct Values<'a> {
    /// `{{name}}`: the package.
    pub(super) name: &'a str,
    /// `{{folder}}`: the package's folder in the project, with a slash behind it; empty for the project's own.
    pub(super) folder: &'a str,
    /// `{{sdk}}`: the SDK's folder, as TOML.
    pub(super) sdk: &'a str,
    /// `{{curl}}`: what to ask for.
    pub(super) curl: &'a str,
}

impl Values<'_> {
    /// `{{workdir}}`: the folder to build in.
    fn workdir(&self) -> &str {
        match self.folder.trim_end_matches('/') {
            "" => ".",
            folder => folder,
        }
    }

    /// Fills a text.
    pub(super) fn fill(&self, text: &str) -> String {
        text.replace("{{name}}", self.name)
            .replace("{{crate}}", &self.name.replace('-', "_"))
            .replace("{{folder}}", self.folder)
            .replace("{{workdir}}", self.workdir())
            .replace("{{sdk}}", self.sdk)
            .replace("{{curl}}", self.curl)
    }
}
