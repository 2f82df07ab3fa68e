//! `wasmgate check`: every mistake, without listening.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use wasmgate::{
    bootstrap::{self, Choice, StartError},
    config::Config,
};
use wasmgate_common::{Diagnostic, Diagnostics};

use super::{Exit, File, USAGE, counted, print};

/// Its arguments.
#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    file: File,
    /// Print one JSON object, with a stable code for each mistake
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        if self.json {
            return self.run_for_tools();
        }
        let config = self.file.load()?;
        for (package, choice) in choices(&config)? {
            print(&format!("{package} {choice}\n"));
        }
        for caveat in bootstrap::caveats(&config) {
            print(&format!("note: {caveat}\n"));
        }
        print(&format!(
            "{}: {} and {} are right\n",
            self.file.file.display(),
            counted(config.packages.len(), "package"),
            counted(config.routes.len(), "route")
        ));
        Ok(ExitCode::SUCCESS)
    }

    fn run_for_tools(&self) -> Result<ExitCode, Exit> {
        let checked = match self.file.input().load() {
            Err(rejected) => Err(bootstrap::all_mistakes(rejected)),
            Ok(config) => match choices(&config) {
                Ok(choices) => Ok((config, choices)),
                Err(StartError::Packages(mistakes) | StartError::Cache(mistakes) | StartError::Data(mistakes)) => {
                    Err(mistakes)
                }
                Err(other) => return Err(other.into()),
            },
        };
        let (told, code) = match checked {
            Ok((config, choices)) => {
                let packages = choices.into_iter().map(|(name, choice)| {
                    let engine = format!("{}: {}", choice.engine.name(), choice.reason);
                    json!({"name": name, "world": choice.world, "engine": engine})
                });
                let told = json!({
                    "mistakes": [],
                    "packages": packages.collect::<Vec<_>>(),
                    "routes": config.routes.len(),
                    "notes": bootstrap::caveats(&config),
                });
                (told, ExitCode::SUCCESS)
            }
            Err(mistakes) => (for_tools(&mistakes), ExitCode::from(USAGE)),
        };
        print(&format!("{told:#}\n"));
        Ok(code)
    }
}

/// Each package with what it is, its engine, and the reason for that.
fn choices(config: &Config) -> Result<Vec<(String, Choice)>, StartError> {
    let registered = bootstrap::check(config)?;
    let packages = config.packages.iter().zip(&registered);
    let choices = packages.map(|(package, registered)| (package.name.to_string(), registered.choice.clone()));
    Ok(choices.collect())
}

fn for_tools(mistakes: &Diagnostics) -> Value {
    let each = |mistake: &Diagnostic| {
        let place = &mistake.place;
        json!({
            "code": mistake.code.as_str(),
            "file": place.file.as_ref().map(|file| file.display().to_string()),
            "document": place.document,
            "line": place.position.map(|position| position.line),
            "column": place.position.map(|position| position.column),
            "key": place.key,
            "message": mistake.message,
            "help": mistake.help,
        })
    };
    json!({"mistakes": mistakes.as_slice().iter().map(each).collect::<Vec<_>>()})
}
