//! `wasmgate compile`: compiles into the cache directory, ahead of a start.

use std::process::ExitCode;

use clap::Args;
use wasmgate::bootstrap;

use super::{Exit, File, counted, print};

/// Its arguments.
#[derive(Args)]
pub(crate) struct Compile {
    #[command(flatten)]
    file: File,
}

impl Compile {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let config = self.file.load()?;
        let compiled = counted(bootstrap::check(&config)?.len(), "package");
        let cache = config.server.cache.display();
        print(&format!("compiled in {cache}: {compiled}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
