//! The tools that a template needs on this machine.

use std::{env, os::unix::fs::PermissionsExt as _, path::Path};

use super::template::Tool;

/// A line that says what is to be installed; nothing if it is there.
pub(super) fn missing(tool: &Tool) -> String {
    let folders = env::var_os("PATH").unwrap_or_default();
    let is_there = env::split_paths(&folders).any(|folder| is_executable(&folder.join(tool.program)));
    if is_there {
        return String::new();
    }
    let Tool {
        program,
        comes_with,
    } = tool;
    format!("{program} is not there: install {comes_with}\n")
}

fn is_executable(file: &Path) -> bool {
    let metadata = file.metadata();
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
