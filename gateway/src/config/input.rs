//! The input of a configuration: a file, files merged over it, and variables.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use wasmgate_common::{Code, Diagnostic, Place, Position};

use super::{Config, Environment, Rejected, Text, check, env_file, lines, secret::Variables};

/// The name of a configuration, unless another one is said.
const USUAL: &str = "wasmgate.toml";

/// The largest file, in bytes: some hundred thousand packages, and far from filling memory when the
/// name of a disk image is given by mistake.
pub const MAX_FILE: u64 = 64 << 20;

/// Where a configuration comes from. It can be read again, to find what has changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// The file; relative paths in all of them are relative to its folder.
    pub file: PathBuf,
    /// Files that are laid over it, each over those before: tables are joined key by key, and any other value, a list
    /// of routes too, stands in the place of the one below.
    pub with: Vec<PathBuf>,
    /// Files of variables for `${NAME}`; a later one goes before an earlier one.
    pub env_files: Vec<PathBuf>,
    /// Variables for `${NAME}`, which go before those of the files, and these before the process environment.
    pub variables: Variables,
}

impl Input {
    /// One file, with the variables of the process environment.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            ..Self::default()
        }
    }

    /// Every file that is read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let others = self.with.iter().chain(&self.env_files);
        std::iter::once(&self.file)
            .chain(others)
            .map(PathBuf::as_path)
    }

    /// Reads and checks all of it and the process environment.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn load(&self) -> Result<Config, Rejected> {
        self.read(false)
    }

    /// Does the same for a gateway at work, to which a file without a word is one that is being written: many who save
    /// one empty it first.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn load_again(&self) -> Result<Config, Rejected> {
        self.read(true)
    }

    fn read(&self, is_at_work: bool) -> Result<Config, Rejected> {
        let mut variables = BTreeMap::new();
        for file in &self.env_files {
            let bytes = bytes(file)?;
            let text = readable(&bytes, file)?;
            let read = env_file::read(text, file).map_err(|wrong| Rejected::new(file, wrong, None))?;
            variables.extend(read);
        }
        variables.extend(self.variables.reveal().clone());
        let files: Vec<&PathBuf> = std::iter::once(&self.file).chain(&self.with).collect();
        let all = files
            .iter()
            .map(|file| bytes(file))
            .collect::<Result<Vec<_>, _>>()?;
        let texts = all.iter().zip(&files);
        let texts = texts.map(|(bytes, file)| {
            Ok(Text {
                file,
                text: readable(bytes, file)?,
            })
        });
        let texts = texts.collect::<Result<Vec<_>, Rejected>>()?;
        if let Some(blank) = texts.iter().find(|text| text.text.trim().is_empty())
            && is_at_work
        {
            let wrong = Diagnostic::new(
                Code::Syntax,
                "the file is empty, as one that is being written",
                "save it again; to serve nothing, write a comment alone",
            );
            return Err(rejected(blank.file, None, wrong));
        }
        check(&texts, self, &Environment::read(), &variables)
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, Rejected> {
    let mut bytes = Vec::new();
    fs::File::open(file)
        .and_then(|opened| opened.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(file, &error))?;
    Ok(bytes)
}

/// The text as UTF-8, if it is that and not too long.
pub(super) fn readable<'t>(text: &'t [u8], file: &Path) -> Result<&'t str, Rejected> {
    if text.len() as u64 > MAX_FILE {
        let wrong = Diagnostic::new(
            Code::FileTooLong,
            "the file is too long for a configuration",
            format!("name another one, or split it: at most {MAX_FILE} bytes are read"),
        );
        return Err(rejected(file, None, wrong));
    }
    std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let before = String::from_utf8_lossy(before);
        let position = lines::Lines::new(&before).position(before.len());
        let byte = text.get(error.valid_up_to()).copied().unwrap_or_default();
        let wrong = Diagnostic::new(
            Code::Syntax,
            format!("the byte 0x{byte:02X} is not UTF-8"),
            "save the file as UTF-8, which TOML is written in",
        );
        rejected(file, Some(position), wrong)
    })
}

fn unreadable(file: &Path, error: &io::Error) -> Rejected {
    let (code, help) = match error.kind() {
        io::ErrorKind::NotFound => (Code::FileMissing, instead_of(file)),
        io::ErrorKind::IsADirectory => (
            Code::FileUnreadable,
            "name the file in the directory".to_owned(),
        ),
        _ => (
            Code::FileUnreadable,
            "make the file readable for the user that runs the gateway".to_owned(),
        ),
    };
    let message = format!("the file cannot be read: {error}");
    rejected(file, None, Diagnostic::new(code, message, help))
}

/// What to do about a file that is not there: it may lie in a folder above, as for who works in a part of a project, or
/// there may be no project yet.
fn instead_of(file: &Path) -> String {
    let is_plain = file.file_name().is_some_and(|name| Path::new(name) == file);
    let here = std::path::absolute(file).unwrap_or_default();
    let mut above = here.ancestors().skip(2).map(|folder| folder.join(file));
    match above.find(|other| is_plain && other.is_file()) {
        Some(other) => format!("name {}, or change to its folder", other.display()),
        None if file == Path::new(USUAL) => "make a project with `wasmgate new NAME`, or name another file".to_owned(),
        None => "write the file, or name another one".to_owned(),
    }
}

/// A file that is not read any further.
fn rejected(file: &Path, position: Option<Position>, wrong: Diagnostic) -> Rejected {
    let place = Place::in_file(Arc::from(file), position, "");
    Rejected::new(file, vec![wrong.at(place)], None)
}
