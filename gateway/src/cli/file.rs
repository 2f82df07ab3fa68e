//! The configuration file of a command.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use wasmgate::{
    bootstrap,
    config::{Config, Input, Variables},
};

use super::Exit;

/// A file, what is laid over it, and what its variables stand for.
#[derive(Args)]
pub(crate) struct File {
    /// The configuration
    #[arg(default_value = "wasmgate.toml")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    more: More,
}

/// What is laid over a configuration, and what its variables stand for.
#[derive(Args)]
pub(crate) struct More {
    /// Merge this configuration over it: tables are merged key by key, any other value is replaced
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    /// Set variables ${NAME} of the configuration from lines NAME=VALUE in this file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Set a variable ${NAME} of the configuration; packages do not see it
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
}

impl File {
    /// All that is to be read.
    pub(super) fn input(&self) -> Input {
        self.more.input(&self.file)
    }

    /// The variables that the command line gives, in its order.
    pub(super) fn variables(&self) -> &[(String, String)] {
        &self.more.env
    }

    /// Reads and checks another one, with the same variables and nothing laid over it.
    pub(super) fn beside(&self, file: &Path) -> Result<Config, Exit> {
        let mut input = self.more.input(file);
        input.with.clear();
        read(&input)
    }

    /// Reads and checks it, its packages too if anything is wrong, so that everything is reported at once.
    pub(super) fn load(&self) -> Result<Config, Exit> {
        read(&self.input())
    }
}

fn read(input: &Input) -> Result<Config, Exit> {
    input
        .load()
        .map_err(|rejected| Exit::usage(bootstrap::all_mistakes(rejected).to_string()))
}

impl More {
    /// All that is to be read of a configuration.
    pub(super) fn input(&self, file: &Path) -> Input {
        let variables: BTreeMap<String, String> = self.env.iter().cloned().collect();
        Input {
            file: file.to_owned(),
            with: self.with.clone(),
            env_files: self.env_file.clone(),
            variables: Variables::new(variables),
        }
    }
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE"),
    }
}
