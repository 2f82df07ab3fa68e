//! A gateway of our own: a generated `wasmgate.toml` in a folder of its own,
//! and the program started there.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    cli::GatewayArgs,
    peers::{self, Launch, Peer, PeerError},
};

/// What the largest guest takes to compile: one in Go more than the gateway's own limits, on a slow machine.
const COMPILE_MEMORY: &str = "4GiB";
const COMPILE_TIMEOUT: &str = "10m";

/// One package and its one route: `prefix` and `path` together, of which the
/// package sees `path`.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) source: PathBuf,
    /// Empty, or `/` and more.
    pub(crate) prefix: String,
    /// The path on which the component answers.
    pub(crate) path: String,
    /// The package's own deadline, if not the default.
    pub(crate) timeout: Option<Duration>,
    /// The state store that the package may use, if any.
    pub(crate) state: Option<&'static str>,
    /// It does its start-up once, when it is registered.
    pub(crate) snapshot: bool,
}

/// A running gateway; it ends, and its folder goes, when this is dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    // Before the folder, so that it has ended when the folder is removed.
    pub(crate) peer: Peer,
    pub(crate) program: PathBuf,
    folder: tempfile::TempDir,
}

/// A reason why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("the gateway's folder: {0}")]
    Folder(#[from] io::Error),
    #[error(
        "the component {} is not there; build it with `make guests` or name one with --{flag}",
        .file.display()
    )]
    NoComponent { file: PathBuf, flag: &'static str },
}

impl Package {
    pub(crate) fn new(name: &str, source: PathBuf, prefix: &str, path: &str) -> Self {
        Self {
            name: name.to_owned(),
            source,
            prefix: prefix.to_owned(),
            path: path.to_owned(),
            timeout: None,
            state: None,
            snapshot: false,
        }
    }

    /// The path that clients ask for.
    pub(crate) fn route(&self) -> String {
        format!("{}{}", self.prefix, self.path)
    }
}

/// The component that was named with `--flag`, as an absolute path.
///
/// # Errors
/// When it is not a file.
pub(crate) fn component(given: &Path, flag: &'static str) -> Result<PathBuf, GatewayError> {
    match given.canonicalize() {
        Ok(found) if found.is_file() => Ok(found),
        _ => Err(GatewayError::NoComponent {
            file: given.to_owned(),
            flag,
        }),
    }
}

/// Starts a gateway of these packages on free ports and waits until it listens.
///
/// # Errors
/// When the program is not found, ends, or stays silent.
pub(crate) fn start(this: &Path, arguments: &GatewayArgs, packages: &[Package]) -> Result<Gateway, GatewayError> {
    start_in(tempfile::tempdir()?, this, arguments, packages)
}

impl Gateway {
    /// Ends it and starts it again in the same folder, where the compiled
    /// code of its packages is by now.
    ///
    /// # Errors
    /// As [`start`].
    pub(crate) fn restart(
        self,
        this: &Path,
        arguments: &GatewayArgs,
        packages: &[Package],
    ) -> Result<Self, GatewayError> {
        let Self { peer, folder, .. } = self;
        drop(peer);
        start_in(folder, this, arguments, packages)
    }
}

fn start_in(
    folder: tempfile::TempDir,
    this: &Path,
    arguments: &GatewayArgs,
    packages: &[Package],
) -> Result<Gateway, GatewayError> {
    let program = peers::find(
        "wasmgate",
        arguments.gateway.as_deref(),
        this,
        "build it with `cargo build --release -p wasmgate` or name it with --gateway",
    )?;
    fs::write(
        folder.path().join("wasmgate.toml"),
        config(packages, arguments.workers),
    )?;
    let peer = Launch {
        name: "wasmgate".to_owned(),
        program: program.clone(),
        arguments: vec!["up".into()],
        directory: Some(folder.path().to_owned()),
    }
    .start(this)?;
    Ok(Gateway {
        peer,
        program,
        folder,
    })
}

fn config(packages: &[Package], workers: usize) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = {workers}\n\
         compile_memory = \"{COMPILE_MEMORY}\"\ncompile_timeout = \"{COMPILE_TIMEOUT}\"\n"
    );
    if packages.iter().any(|package| package.state.is_some()) {
        // In the gateway's own folder, which goes when it ends.
        text += "\n[dapr]\nmode = \"embedded\"\ndata = \"data\"\n";
    }
    for package in packages {
        let Package { name, source, .. } = package;
        // JSON's string escapes are TOML's as well.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let source = quoted(&source.to_string_lossy());
        let _ = write!(text, "\n[package.{name}]\nsource = {source}\n");
        if let Some(timeout) = package.timeout {
            let _ = writeln!(
                text,
                "limits = {{ timeout = \"{}ms\" }}",
                timeout.as_millis()
            );
        }
        if package.snapshot {
            text += "snapshot = true\n";
        }
        if let Some(store) = package.state {
            let _ = writeln!(text, "dapr = {{ state = [\"{store}\"] }}");
        }
        let path = quoted(&package.route());
        let _ = write!(text, "\n[[route]]\npath = {path}\npackage = \"{name}\"\n");
        if !package.prefix.is_empty() {
            let _ = writeln!(text, "strip_prefix = {}", quoted(&package.prefix));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_has_its_source_its_route_and_its_deadline() {
        let mut slow = Package::new("spin", PathBuf::from("/tmp/a \"b\".wasm"), "/s", "/x");
        slow.timeout = Some(Duration::from_millis(1500));
        let text = config(&[slow], 2);
        assert!(text.contains("workers = 2\n") && !text.contains("dapr"));
        assert!(
            text.contains("source = \"/tmp/a \\\"b\\\".wasm\"\n"),
            "{text}"
        );
        assert!(text.contains("limits = { timeout = \"1500ms\" }"));
        assert!(text.contains("[[route]]\npath = \"/s/x\"\npackage = \"spin\"\nstrip_prefix = \"/s\"\n"));
    }

    #[test]
    fn a_package_with_state_is_granted_it_and_has_a_folder_for_it() {
        let mut package = Package::new("bench", PathBuf::from("/tmp/g.wasm"), "", "/{*rest}");
        package.state = Some("statestore");
        let text = config(&[package], 0);
        assert!(text.contains("[dapr]\nmode = \"embedded\"\ndata = \"data\"\n"));
        assert!(
            text.contains("[package.bench]\nsource = \"/tmp/g.wasm\"\ndapr = { state = [\"statestore\"] }\n"),
            "{text}"
        );
    }
}
