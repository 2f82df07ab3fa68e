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
    template::{Template, Values},
    texts::{CONFIGURATION, LINKER, README},
    tools,
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
        let name = name::check(&self.name, self.template)?;
        let name = name.as_str();
        let is_empty = self.template == Template::Empty;
        let sdk = sdk::find_for(self.template, self.sdk.as_deref())?;
        let values = Values {
            name,
            folder: "",
            sdk: &sdk,
            template: self.template,
        };
        let mut folder = NewFolder::make(Path::new(name))?;
        for (path, text) in self.template.files() {
            folder.write(path, &values.fill(text))?;
        }
        if !is_empty {
            let package = format!("{}{}", CONFIGURATION.1, self.template.package());
            folder.write(CONFIGURATION.0, &values.fill(&package))?;
            folder.write(README.0, &values.fill(README.1))?;
        }
        if self.template.is_crate() {
            folder.write(LINKER.0, LINKER.1)?;
        }
        folder.write("wasmgate.schema.json", &config::schema())?;
        let ignored = self.template.ignored();
        folder.write(ignored.0, ignored.1)?;
        let next = if is_empty {
            format!("next\n  cd {name}\n  wasmgate add greeter\n")
        } else {
            next(&format!("  cd {name}\n"), self.template, name)
        };
        print(&format!("{}{next}", list(&folder.keep())))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What to type to see a package answer, and what is to be installed first.
pub(super) fn next(first: &str, template: Template, name: &str) -> String {
    let curl = template.curl(name);
    let missing = tools::missing(&template.tool());
    format!("next\n{first}  wasmgate up --watch\n  curl {curl}      # in another terminal\n{missing}")
}
