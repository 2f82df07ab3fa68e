//! The templates, and the files of each.

use clap::ValueEnum;

use super::texts::{self, File};

/// What there is to begin with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Template {
    /// A router, JSON, a test
    Rust,
    /// State, events with a dead-letter topic, a job
    RustDapr,
    /// JavaScript: fetch events by Hono, state, events, a test (Node.js 20 or newer)
    #[value(name = "javascript")]
    JavaScript,
    /// The same in TypeScript
    #[value(name = "typescript")]
    TypeScript,
    /// Python: a class, state, events, a test (Python 3.10 or newer)
    Python,
    /// Go: a handler of net/http, state, events, a test (Go 1.24 or newer)
    Go,
    /// C: a function, state, events, a test (Python 3 and make; the compiler is fetched)
    C,
    /// The files of a folder as a site
    Static,
    /// No package: a configuration with every key commented out
    Empty,
}

/// A program that a template's tests and builds begin with.
pub(super) struct Tool {
    /// Its name, as a shell looks for it.
    pub(super) program: &'static str,
    /// What has it.
    pub(super) comes_with: &'static str,
}

impl Template {
    /// Whether its package is a crate, with the SDK.
    pub(super) fn is_crate(self) -> bool {
        matches!(self, Self::Rust | Self::RustDapr | Self::Static)
    }

    /// The files of a package; of a project for the template without one.
    pub(super) fn files(self) -> &'static [File] {
        match self {
            Self::Rust => &texts::RUST,
            Self::RustDapr => &texts::RUST_DAPR,
            Self::JavaScript => &texts::JAVASCRIPT,
            Self::TypeScript => &texts::TYPESCRIPT,
            Self::Python => &texts::PYTHON,
            Self::Go => &texts::GO,
            Self::C => &texts::C,
            Self::Static => &texts::STATIC,
            Self::Empty => &texts::EMPTY,
        }
    }

    /// What git leaves out of a package's folder.
    pub(super) fn ignored(self) -> File {
        match self {
            Self::JavaScript | Self::TypeScript => texts::JAVASCRIPT_IGNORED,
            Self::Python | Self::C => texts::PYTHON_IGNORED,
            Self::Go => texts::GO_IGNORED,
            Self::Rust | Self::RustDapr | Self::Static | Self::Empty => texts::IGNORED,
        }
    }

    /// What `wasmgate.toml` says of the package.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Rust => include_str!("../../../templates/rust/package.toml"),
            Self::RustDapr => include_str!("../../../templates/rust-dapr/package.toml"),
            Self::JavaScript => include_str!("../../../templates/javascript/package.toml"),
            Self::TypeScript => include_str!("../../../templates/typescript/package.toml"),
            Self::Python => include_str!("../../../templates/python/package.toml"),
            Self::Go => include_str!("../../../templates/go/package.toml"),
            Self::C => include_str!("../../../templates/c/package.toml"),
            Self::Static => include_str!("../../../templates/static/package.toml"),
            Self::Empty => "",
        }
    }

    /// What `curl` is to be given to see the package of this name answer.
    pub(super) fn curl(self, name: &str) -> String {
        let url = "http://127.0.0.1:3000";
        match self {
            Self::RustDapr => {
                format!("--json '{{\"id\": \"7\", \"drink\": \"latte\"}}' {url}/{name}")
            }
            Self::Static | Self::Empty => format!("{url}/"),
            _ => format!("{url}/{name}/you"),
        }
    }

    /// The file that says what the package does.
    pub(super) fn source(self) -> &'static str {
        match self {
            Self::Rust | Self::RustDapr | Self::Static | Self::Empty => "src/lib.rs",
            Self::JavaScript => "src/app.js",
            Self::TypeScript => "src/app.ts",
            Self::Python => "src/app.py",
            Self::Go => "app.go",
            Self::C => "src/app.c",
        }
    }

    /// What its component needs of `[server]`: lines of TOML.
    pub(super) fn server(self) -> &'static str {
        match self {
            Self::Go => {
                "compile_memory = \"4GiB\"            # what Go makes takes more than the usual 2GiB and, on a slow machine, 2m\n\
                 compile_timeout = \"5m\"\n"
            }
            _ => "",
        }
    }

    /// What runs the package's own tests.
    pub(super) fn test(self) -> &'static str {
        match self {
            Self::Rust | Self::RustDapr | Self::Static | Self::Empty => "cargo test",
            Self::JavaScript | Self::TypeScript => "npm install && npm test",
            Self::Python => "python3 -m unittest discover src",
            Self::Go => "go test ./...",
            Self::C => "make test",
        }
    }

    /// What has to be there for it.
    pub(super) fn tool(self) -> Tool {
        match self {
            Self::Rust | Self::RustDapr | Self::Static | Self::Empty => Tool {
                program: "cargo",
                comes_with: "Rust, by rustup",
            },
            Self::JavaScript | Self::TypeScript => Tool {
                program: "npm",
                comes_with: "Node.js 20 or newer, and npm",
            },
            Self::Python => Tool {
                program: "python3",
                comes_with: "Python 3.10 or newer, with venv",
            },
            Self::Go => Tool {
                program: "go",
                comes_with: "Go 1.24 or newer",
            },
            Self::C => Tool {
                program: "make",
                comes_with: "make, and Python 3 with venv",
            },
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
    /// `{{curl}}`, `{{source}}`, `{{test}}` and `{{server}}` are the template's.
    pub(super) template: Template,
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
            .replace("{{curl}}", &self.template.curl(self.name))
            .replace("{{source}}", self.template.source())
            .replace("{{test}}", self.template.test())
            .replace("{{server}}", self.template.server())
    }
}
