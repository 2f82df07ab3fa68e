//! `wasmgate new`: a folder with a configuration and a package.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use wasmgate::config;

use super::{
    super::{Exit, print},
    files::{NewFolder, list},
    name, sdk,
    template::{CONFIGURATION, IGNORED, LINKER, README, Template, Values},
};

/// Its arguments.
#[derive(Args)]
pub(crate) struct New {
    /// The name of the folder and of the package: lower-case letters, digits and -
    name: String,
    /// What to begin with
    #[arg(long, value_enum, default_value = "rust")]
    template: Template,
    /// The SDK that the package depends on, if not the one that this command finds: the folder `sdk` of a checkout
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

impl New {
    pub(in super::super) fn run(self) -> Result<ExitCode, Exit> {
        let name = name::check(&self.name)?;
        let name = name.as_str();
        let is_empty = self.template == Template::Empty;
        let sdk = if is_empty {
            String::new()
        } else {
            sdk::find(self.sdk.as_deref())?
        };
        let values = Values {
            name,
            folder: "",
            sdk: &sdk,
            curl: &self.template.curl(name),
        };
        let mut folder = NewFolder::make(Path::new(name))?;
        for (path, text) in self.template.files() {
            folder.write(path, &values.fill(text))?;
        }
        if !is_empty {
            let package = format!("{}{}", CONFIGURATION.1, self.template.package());
            folder.write(CONFIGURATION.0, &values.fill(&package))?;
            folder.write(README.0, &values.fill(README.1))?;
            folder.write(LINKER.0, LINKER.1)?;
        }
        folder.write("wasmgate.schema.json", &config::schema())?;
        folder.write(IGNORED.0, IGNORED.1)?;
        let next = if is_empty {
            format!("next\n  cd {name}\n  wasmgate add greeter\n")
        } else {
            next(&format!("  cd {name}\n"), values.curl)
        };
        print(&format!("{}{next}", list(&folder.keep())));
        Ok(ExitCode::SUCCESS)
    }
}

/// What to type to see a package answer.
pub(super) fn next(first: &str, curl: &str) -> String {
    format!("next\n{first}  wasmgate up --watch\n  curl {curl}      # in another terminal\n")
}
