//! A swap file for the time of a test: a page that the kernel is asked to page out has somewhere to go.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Room for the pages of every memory that is paged out at one time, and a few more.
const BYTES: usize = 32 << 20;

/// The file, in use until this is dropped.
pub(crate) struct SwapFile {
    path: PathBuf,
}

impl SwapFile {
    /// Makes it and has the kernel use it.
    ///
    /// # Errors
    /// When it cannot, as without root or where the file system takes none.
    pub(crate) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("wasmgate-torture-{}.swap", std::process::id()));
        let swap = Self { path };
        // Written out: the kernel takes no file with holes.
        let mut file = File::create_new(&swap.path)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(&vec![0; BYTES])?;
        file.sync_all()?;
        swap.run("mkswap")?;
        swap.run("swapon")?;
        Ok(swap)
    }

    fn run(&self, program: &str) -> io::Result<()> {
        let status = Command::new(program)
            .arg(&self.path)
            .stdout(Stdio::null())
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("{program} says {status}"))),
        }
    }
}

impl Drop for SwapFile {
    fn drop(&mut self) {
        // Of one that was never in use it is an error that says so.
        let _ = Command::new("swapoff")
            .arg(&self.path)
            .stderr(Stdio::null())
            .status();
        let _ = fs::remove_file(&self.path);
    }
}
