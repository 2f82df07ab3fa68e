//! `wasmgate man`: one manual page for all commands.

use std::{io, process::ExitCode};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::{Arguments, Exit, print};

pub(super) fn run() -> Result<ExitCode, Exit> {
    let mut page = Vec::new();
    write(&mut page).map_err(|error| Exit::machine(&error))?;
    print(&String::from_utf8_lossy(&page))?;
    Ok(ExitCode::SUCCESS)
}

fn write(page: &mut Vec<u8>) -> io::Result<()> {
    let mut command = Arguments::command();
    command.build();
    Man::new(command.clone()).render(page)?;
    for subcommand in command
        .get_subcommands()
        .filter(|it| it.get_name() != "help")
    {
        section("wasmgate", subcommand, page)?;
    }
    Ok(())
}

/// What the page says of a command and those within it.
fn section(within: &str, command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = format!("{within} {}", command.get_name());
    page.extend(format!(".SH \"{}\"\n", name.to_uppercase()).bytes());
    let about = command.get_about().map(ToString::to_string);
    page.extend(format!("{}\n", about.unwrap_or_default()).bytes());
    let man = Man::new(command.clone());
    man.render_synopsis_section(page)?;
    man.render_options_section(page)?;
    for subcommand in command
        .get_subcommands()
        .filter(|it| it.get_name() != "help")
    {
        section(&name, subcommand, page)?;
    }
    Ok(())
}
