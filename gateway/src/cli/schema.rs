//! `wasmgate schema`: the JSON Schema of the configuration.

use std::process::ExitCode;

use wasmgate::config;

use super::{Exit, print};

pub(super) fn run() -> Result<ExitCode, Exit> {
    print(&config::schema())?;
    Ok(ExitCode::SUCCESS)
}
