//! `wasmgate check`: every mistake, without listening.

use std::process::ExitCode;

use clap::Args;
use wasmgate::bootstrap;

use super::{Exit, File, counted, print};

/// Its arguments.
#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    file: File,
}

impl Check {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let config = self.file.load()?;
        let registered = bootstrap::check(&config)?;
        for (package, registered) in config.packages.iter().zip(&registered) {
            print(&format!(
                "{} runs in engine {}\n",
                package.name, registered.choice
            ));
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
}
