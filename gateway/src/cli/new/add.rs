//! `wasmgate add`: adds a package to an existing project.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use wasmgate::config;
use wasmgate_common::Code;

use super::{
    super::{Exit, print},
    files::{NewFolder, list},
    name,
    project::next,
    sdk,
    template::{Template, Values},
    texts::LINKER,
};

/// Its arguments.
#[derive(Args)]
pub(crate) struct Add {
    /// The name of the package and of its folder: lower-case letters, digits and -
    name: String,
    /// What to begin with
    #[arg(long, value_enum, default_value = "rust")]
    template: Template,
    /// The configuration that gets the package; its folder gets the package's
    #[arg(long, value_name = "FILE", default_value = "wasmgate.toml")]
    file: PathBuf,
    /// The SDK that the package depends on, if not the one that this command finds: the folder `sdk` of a checkout
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

impl Add {
    pub(in super::super) fn run(self) -> Result<ExitCode, Exit> {
        if self.template == Template::Empty {
            return Err(Exit::usage(
                "error: the template `empty` has no package; leave --template out, or name another".to_owned(),
            ));
        }
        let name = name::check(&self.name, self.template)?;
        let name = name.as_str();
        let sdk = sdk::find_for(self.template, self.sdk.as_deref())?;
        let values = Values {
            name,
            folder: &format!("{name}/"),
            sdk: &sdk,
            template: self.template,
        };
        let added = format!("\n{}", values.fill(self.template.package()));
        self.refuse_conflicts(name, &added)?;
        let root = self.file.parent().unwrap_or(Path::new(""));
        let mut folder = NewFolder::make(&root.join(name))?;
        for (path, text) in self.template.files() {
            folder.write(path, &values.fill(text))?;
        }
        let ignored = self.template.ignored();
        folder.write(ignored.0, ignored.1)?;
        if self.template.is_crate() && !root.join(LINKER.0).exists() {
            folder.write(LINKER.0, LINKER.1)?;
        }
        self.append(&added)?;
        // Where one is run with --watch already, it builds the package and serves it by itself.
        let first = match root.to_str() {
            Some("") => String::new(),
            _ => format!("  cd {}\n", root.display()),
        };
        let next = next(&first, self.template, name);
        print(&format!(
            "{}added to {}\n  [package.{name}] and its route\n{next}",
            list(&folder.keep()),
            self.file.display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Refuses what would make two packages of one name, or two routes for the same requests. What is wrong already,
    /// such as a package that is not built, does not matter here.
    fn refuse_conflicts(&self, name: &str, added: &str) -> Result<(), Exit> {
        let file = self.file.display();
        let text = fs::read(&self.file).map_err(|error| {
            Exit::usage(format!(
                "error: {file} cannot be read: {error}; run this in a project's folder, or make one: wasmgate new NAME"
            ))
        })?;
        let is_conflict = |code| matches!(code, Code::Syntax | Code::Duplicate | Code::Conflict);
        let environment = config::Environment::default();
        let conflicts = |text: &[u8]| {
            let mistakes = config::parse(text, &self.file, &environment).err();
            let mistakes = mistakes
                .into_iter()
                .flat_map(|rejected| rejected.diagnostics);
            let mistakes = mistakes.filter(|wrong| is_conflict(wrong.code));
            mistakes
                .map(|wrong| format!("error: {wrong}\n"))
                .collect::<String>()
        };
        let before = conflicts(&text);
        if !before.is_empty() {
            return Err(Exit::usage(before.trim_end().to_owned()));
        }
        let tables = toml::from_str::<toml::Table>(&String::from_utf8_lossy(&text)).unwrap_or_default();
        let packages = tables.get("package").and_then(toml::Value::as_table);
        if packages.is_some_and(|packages| packages.contains_key(name)) {
            return Err(Exit::usage(format!(
                "error: {file} has a package {name:?} already; choose another name"
            )));
        }
        let after = conflicts(&[&text, added.as_bytes()].concat());
        if after.is_empty() {
            return Ok(());
        }
        Err(Exit::usage(format!(
            "error: {file} has no place for this package; choose another name or template, or give the other route \
             another path\n{}",
            after.trim_end()
        )))
    }

    fn append(&self, added: &str) -> Result<(), Exit> {
        let opened = OpenOptions::new().append(true).open(&self.file);
        let written = opened.and_then(|mut file| file.write_all(added.as_bytes()));
        written.map_err(|error| {
            let file = self.file.display();
            Exit::cannot_create(format!("error: {file} cannot be written: {error}"))
        })
    }
}
