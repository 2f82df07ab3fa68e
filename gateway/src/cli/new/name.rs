//! Names of new packages, valid for both the gateway and Cargo.

use wasmgate::config::PackageName;

use super::{super::Exit, template::Template};

/// Words that can be no crate: Rust's own (the reference, "Keywords"), and crates that every package has already.
const TAKEN: [&str; 62] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "wasmgate-sdk",
    "where",
    "while",
    "yield",
    "serde-json",
    "build",
    "deps",
    "target",
];

/// Checks the name of a package that is to be a folder too, and a crate if its template has one.
pub(super) fn check(name: &str, template: Template) -> Result<PackageName, Exit> {
    let checked = PackageName::parse(name).map_err(|wrong| Exit::usage(format!("error: {wrong}")))?;
    if !template.is_crate() {
        return Ok(checked);
    }
    if TAKEN.contains(&name) {
        return Err(Exit::usage(format!(
            "error: {name:?} is a word of Rust or Cargo, and cannot be a crate; write, for example, \"{name}-api\""
        )));
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(Exit::usage(format!(
            "error: {name:?} begins with a digit, and cannot be a crate; write, for example, \"p{name}\""
        )));
    }
    Ok(checked)
}
