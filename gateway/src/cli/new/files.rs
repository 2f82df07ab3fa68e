//! Writes new files, and never overwrites existing ones.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::super::Exit;

/// A folder that did not exist; unless it is kept, it goes again with all that is in it.
pub(super) struct NewFolder {
    path: PathBuf,
    files: Vec<PathBuf>,
    is_kept: bool,
}

impl NewFolder {
    /// Makes it.
    pub(super) fn make(path: &Path) -> Result<Self, Exit> {
        fs::create_dir(path).map_err(|error| {
            let path = path.display();
            Exit::cannot_create(match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    format!("error: {path} is there already, and nothing is written over it; choose another name")
                }
                _ => format!("error: the folder {path} cannot be made: {error}"),
            })
        })?;
        Ok(Self {
            path: path.to_owned(),
            files: Vec::new(),
            is_kept: false,
        })
    }

    /// Writes a file that is not there yet, and the folders that it needs.
    pub(super) fn write(&mut self, path: &str, text: &str) -> Result<(), Exit> {
        let file = self.path.join(path);
        let written = fs::create_dir_all(file.parent().unwrap_or(&self.path))
            .and_then(|()| File::create_new(&file))
            .and_then(|mut made| made.write_all(text.as_bytes()));
        written.map_err(|error| {
            let file = file.display();
            Exit::cannot_create(format!("error: {file} cannot be written: {error}"))
        })?;
        self.files.push(file);
        Ok(())
    }

    /// Keeps the folder; answers with what was written, in order.
    pub(super) fn keep(mut self) -> Vec<PathBuf> {
        self.is_kept = true;
        std::mem::take(&mut self.files)
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// What was made, for people.
pub(super) fn list(files: &[PathBuf]) -> String {
    let lines = files.iter().map(|file| format!("  {}\n", file.display()));
    format!("made\n{}", lines.collect::<String>())
}
