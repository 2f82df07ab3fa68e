//! The program: parse, run, say what went wrong.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use wasmgate_loadtest::{
    cli::{Cli, Command},
    compare, native, peers, scenario,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasmgate-loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(arguments) => scenario::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Native(arguments) => {
            native::serve(arguments.listen, arguments.runtime, &arguments.hello).context("the native server")
        }
        Command::Leash { program, arguments } => Err(peers::become_leashed(&program, &arguments).into()),
    }
}
