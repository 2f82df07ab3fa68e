//! `wasmgate backup` and `wasmgate restore`: the embedded building blocks' data as one file.

use std::{
    fs::{self, File as Opened},
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use wasmgate::config::{Config, DaprMode};
use wasmgate_dapr::DataError;

use super::{Exit, File, print};

/// Stands for standard output or input.
const STANDARD: &str = "-";

/// Its arguments.
#[derive(Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    file: File,
    /// The file to write, which must not exist; `-` for standard output
    #[arg(long, value_name = "PATH", default_value = STANDARD)]
    to: PathBuf,
}

/// Its arguments.
#[derive(Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    file: File,
    /// The backup; `-` for standard input
    #[arg(long, value_name = "PATH", default_value = STANDARD)]
    from: PathBuf,
    /// The data folder, if the configuration that names it is not available
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "with"])]
    data: Option<PathBuf>,
}

impl Backup {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let config = embedded(&self.file)?;
        let data = &config.dapr.data;
        if self.to != Path::new(STANDARD) {
            wasmgate_dapr::backup(data, &self.to).map_err(|error| unusable(&error))?;
            return Ok(ExitCode::SUCCESS);
        }
        if io::stdout().is_terminal() {
            return Err(Exit::usage(
                "error: standard output is a terminal; name a file with --to, or write into one with >".to_owned(),
            ));
        }
        // The folder of the data has room for them, which others need not have.
        let copy = data.join(format!("backup-{}.db", std::process::id()));
        // One of an end that came too early.
        let _ = fs::remove_file(&copy);
        let written = wasmgate_dapr::backup(data, &copy).map_err(|error| unusable(&error));
        let sent = written.and_then(|()| {
            let sent = Opened::open(&copy).and_then(|mut copy| io::copy(&mut copy, &mut io::stdout().lock()));
            sent.map_err(|error| {
                Exit::data(&format!(
                    "the copy cannot be written to standard output: {error}"
                ))
            })
        });
        let _ = fs::remove_file(&copy);
        sent.map(|_| ExitCode::SUCCESS)
    }
}

impl Restore {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let data = match self.data {
            Some(data) => data,
            None => embedded(&self.file)?.dapr.data,
        };
        let before = if self.from == Path::new(STANDARD) {
            wasmgate_dapr::restore(&data, Path::new("/dev/stdin"))
        } else {
            wasmgate_dapr::restore(&data, &self.from)
        };
        let before = before.map_err(|error| unusable(&error))?;
        print(&match before {
            Some(before) => format!("restored; what was there is kept in {}\n", before.display()),
            None => "restored\n".to_owned(),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn embedded(file: &File) -> Result<Config, Exit> {
    let config = file.load()?;
    match config.dapr.mode {
        DaprMode::Embedded => Ok(config),
        DaprMode::Sidecar => Err(Exit::usage(
            "error: the gateway keeps no data beside a sidecar; make a copy of what its state store keeps".to_owned(),
        )),
    }
}

fn unusable(error: &DataError) -> Exit {
    Exit::data(error)
}
