//! `wasmgate check`: reports every mistake, without listening.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use wasmgate::{
    bootstrap::{self, Choice, StartError},
    config::{Config, show_digest},
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
        let checked = checked(&config)?;
        let closed: Vec<_> = checked.iter().flat_map(|one| one.closed.clone()).collect();
        for Checked {
            package,
            choice,
            pulled,
            ..
        } in checked
        {
            let pulled = pulled.map(|(reference, digest)| format!("{package} is {reference} -> {digest}\n"));
            let pulled = pulled.unwrap_or_default();
            print(&format!("{pulled}{package} {choice}\n"))?;
        }
        for caveat in closed.into_iter().chain(bootstrap::caveats(&config)) {
            print(&format!("note: {caveat}\n"))?;
        }
        print(&format!(
            "{}: {} and {} are right\n",
            self.file.file.display(),
            counted(config.packages.len(), "package"),
            counted(config.routes.len(), "route")
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    fn run_for_tools(&self) -> Result<ExitCode, Exit> {
        let checked = match self.file.input().load() {
            Err(rejected) => Err(bootstrap::all_mistakes(rejected)),
            Ok(config) => match self::checked(&config) {
                Ok(packages) => Ok((config, packages)),
                Err(StartError::Packages(mistakes) | StartError::Cache(mistakes) | StartError::Data(mistakes)) => {
                    Err(mistakes)
                }
                Err(other) => return Err(other.into()),
            },
        };
        let (told, code) = match checked {
            Ok((config, packages)) => {
                let closed = packages.iter().flat_map(|one| one.closed.clone());
                let notes: Vec<_> = closed.chain(bootstrap::caveats(&config)).collect();
                let packages = packages.into_iter().map(|one| {
                    let engine = format!("{}: {}", one.choice.engine.name(), one.choice.reason);
                    let told = json!({"name": one.package, "world": one.choice.world, "engine": engine});
                    let Value::Object(mut told) = told else {
                        return told;
                    };
                    if let Some((reference, digest)) = one.pulled {
                        told.insert(
                            "pulled".to_owned(),
                            json!({"reference": reference, "digest": digest}),
                        );
                    }
                    Value::Object(told)
                });
                let told = json!({
                    "mistakes": [],
                    "packages": packages.collect::<Vec<_>>(),
                    "routes": config.routes.len(),
                    "notes": notes,
                });
                (told, ExitCode::SUCCESS)
            }
            Err(mistakes) => (for_tools(&mistakes), ExitCode::from(USAGE)),
        };
        print(&format!("{told:#}\n"))?;
        Ok(code)
    }
}

/// A package that is right.
struct Checked {
    package: String,
    /// What it is, its engine, and the reason for that.
    choice: Choice,
    /// The reference it was pulled by, and the digest that this has.
    pulled: Option<(String, String)>,
    /// What it imports and is closed to it, a sentence each.
    closed: Vec<String>,
}

fn checked(config: &Config) -> Result<Vec<Checked>, StartError> {
    let registered = bootstrap::check(config)?;
    let packages = config.packages.iter().zip(&registered);
    let checked = packages.map(|(package, registered)| Checked {
        package: package.name.to_string(),
        choice: registered.choice.clone(),
        closed: registered.closed(package),
        pulled: registered
            .pulled()
            .map(|(reference, digest)| (reference.to_string(), show_digest(&digest))),
    });
    Ok(checked.collect())
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
