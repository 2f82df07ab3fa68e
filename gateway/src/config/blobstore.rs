//! A package's `blobstore`: the containers of `wasi:blobstore` that its guests may use, each a folder.

use std::{collections::BTreeMap, path::PathBuf};

use wasmgate_common::{Code, Diagnostic};

use super::{own::Own, reader::Section, unit};

/// The keys of a container.
const KEYS: [&str; 2] = ["folder", "size"];

/// The bytes that a container may hold unless it is said.
const DEFAULT_SIZE: u64 = 1 << 30;

/// The largest size: no disk is larger.
const MAX_SIZE: u64 = 1 << 50;

/// A container: a folder that is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The folder, resolved against that of the configuration; it is made when it is first used.
    pub folder: PathBuf,
    /// The bytes that its objects may have together.
    pub size: u64,
}

/// Reads a package's containers.
pub(super) fn read(package: &Section<'_>, own: &Own<'_>) -> BTreeMap<String, Container> {
    let containers = package.named("blobstore").filter_map(|(name, value)| {
        let section = value.section(&KEYS)?;
        let size = section.parsed("size", "1GiB", |text| unit::size(text, &(0..=MAX_SIZE)));
        if !section.requires("folder", "the container has no folder", "\"uploads\"") {
            return None;
        }
        let there = section.parsed("folder", "uploads", |text| {
            let there = own.folder.join(text);
            if there.exists() && !there.is_dir() {
                return Err(Diagnostic::new(
                    Code::FileUnreadable,
                    format!("{} is no folder", there.display()),
                    "name a folder, which is made if it is not there",
                ));
            }
            own.check(&there)?;
            Ok(there)
        })?;
        let container = Container {
            folder: there,
            size: size.unwrap_or(DEFAULT_SIZE),
        };
        Some((name.value.to_owned(), container))
    });
    containers.collect()
}
