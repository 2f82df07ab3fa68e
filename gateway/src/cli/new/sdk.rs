//! Finds the SDK on this machine for a new package.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{super::Exit, template::Template};

/// The SDK of the checkout that this gateway was built from, if that is still there.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk");

/// Where a release has it, beside the folder of the command.
const RELEASE: &str = "share/wasmgate/sdk";

/// Finds the SDK for a template that needs it; the answer is a string of TOML.
pub(super) fn find_for(template: Template, named: Option<&Path>) -> Result<String, Exit> {
    if template.is_crate() {
        find(named)
    } else {
        Ok(String::new())
    }
}

/// Finds the SDK's folder: the one that was named, the one that came with this gateway, or that of its checkout.
fn find(named: Option<&Path>) -> Result<String, Exit> {
    let folder = match named {
        Some(named) => [named.to_owned(), named.join("sdk")]
            .into_iter()
            .find(|folder| is_sdk(folder))
            .ok_or_else(|| {
                let named = named.display();
                Exit::usage(format!(
                    "error: --sdk: {named} does not hold the crate wasmgate-sdk; name the folder `sdk` of a checkout"
                ))
            })?,
        None => released()
            .into_iter()
            .chain([PathBuf::from(CHECKOUT)])
            .find(|folder| is_sdk(folder))
            .ok_or_else(|| {
                Exit::usage(
                    "error: the SDK is neither beside this command nor where it was built; name the folder `sdk` of a \
                     checkout: --sdk PATH"
                        .to_owned(),
                )
            })?,
    };
    let whole = fs::canonicalize(&folder).unwrap_or(folder);
    whole.to_str().map(toml_string).ok_or_else(|| {
        let whole = whole.display();
        Exit::usage(format!(
            "error: the path {whole} is not UTF-8, as Cargo.toml has to be; move it"
        ))
    })
}

fn released() -> Option<PathBuf> {
    let command = fs::canonicalize(std::env::current_exe().ok()?).ok()?;
    Some(command.parent()?.parent()?.join(RELEASE))
}

fn is_sdk(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"));
    manifest.is_ok_and(|text| {
        text.lines()
            .any(|line| line.trim() == "name = \"wasmgate-sdk\"")
    })
}

/// A text as TOML has it (basic strings).
fn toml_string(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}
