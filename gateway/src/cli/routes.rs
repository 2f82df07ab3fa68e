//! `wasmgate routes`: prints the route table.

use std::process::ExitCode;

use clap::Args;
use wasmgate::config;

use super::{Exit, File, print};

/// Its arguments.
#[derive(Args)]
pub(crate) struct Routes {
    #[command(flatten)]
    file: File,
}

impl Routes {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        print(&config::table(&self.file.load()?))?;
        Ok(ExitCode::SUCCESS)
    }
}
