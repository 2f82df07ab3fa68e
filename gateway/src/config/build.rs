//! `[package.NAME.build]`: how a component is built from its sources, on a developer's machine.

use std::{
    ops::RangeInclusive,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use globset::{GlobBuilder, GlobMatcher};
use wasmgate_common::{Code, Diagnostic};

use super::{
    reader::{Section, Spot},
    unit,
};

/// The keys of `[package.NAME.build]`.
const KEYS: [&str; 4] = ["command", "workdir", "watch", "timeout"];

/// The time that a build may take unless configured: more than a first build of a large package on a small machine.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The range of `timeout`.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Checked `[package.NAME.build]`.
#[derive(Clone, Debug)]
pub struct BuildConfig {
    /// What the shell runs.
    pub command: String,
    /// The position of `command`, for what goes wrong with it.
    pub command_at: Spot,
    /// The folder that it runs in, resolved against the folder of the configuration; whether it is there is found out
    /// by whoever builds.
    pub workdir: PathBuf,
    /// The sources; `None` for all of `workdir`.
    pub watch: Option<Vec<SourceGlob>>,
    /// The time that it may take.
    pub timeout: Duration,
}

/// Files below a folder.
#[derive(Clone, Debug)]
pub struct SourceGlob {
    /// The folder, or the one file: the part without wildcards, resolved against `workdir`.
    pub base: PathBuf,
    /// The files by their paths below it; `None` for itself and all in it.
    pub below: Option<GlobMatcher>,
}

impl BuildConfig {
    /// Reads the table `build` of a package; paths are resolved against `folder`.
    pub(super) fn read(package: &Section<'_>, folder: &Path) -> Option<Self> {
        let section = package.section("build", &KEYS)?;
        section.requires(
            "command",
            "the build has no command",
            "\"cargo build --release --target wasm32-wasip2\"",
        );
        let command = section.parsed(
            "command",
            "cargo build --release --target wasm32-wasip2",
            command,
        );
        let workdir = section.text("workdir", "greeter");
        let workdir = workdir.map_or_else(|| folder.to_owned(), |workdir| folder.join(workdir.value));
        let watch = section.texts("watch", "src/**/*.rs");
        let watch = watch.map(|globs| {
            let globs = globs.iter();
            globs
                .filter_map(|glob| glob.parsed(|text| SourceGlob::parse(text, &workdir)))
                .collect()
        });
        let timeout = section.parsed("timeout", "30m", |text| unit::duration(text, &TIMEOUTS));
        Some(Self {
            command: command?,
            command_at: section.spot_of("command")?,
            workdir: if workdir.as_os_str().is_empty() {
                PathBuf::from(".")
            } else {
                workdir
            },
            watch,
            timeout: timeout.unwrap_or(TIMEOUT),
        })
    }
}

fn command(text: &str) -> Result<String, Diagnostic> {
    let wrong = if text.trim().is_empty() {
        "the build command is empty"
    } else if text.contains('\0') {
        "the build command has a zero byte"
    } else {
        return Ok(text.to_owned());
    };
    Err(Diagnostic::new(
        Code::InvalidValue,
        wrong,
        "write what a shell is to run, such as \"cargo build --release --target wasm32-wasip2\"",
    ))
}

impl SourceGlob {
    /// Reads a path with wildcards: `*` and `?` within a name, `**` for any number of folders, `{a,b}` and `[a-z]`.
    fn parse(text: &str, workdir: &Path) -> Result<Self, Diagnostic> {
        let invalid = |why: String| {
            Diagnostic::new(
                Code::InvalidValue,
                format!("{text:?} names no files: {why}"),
                "write, for example, \"src/**/*.rs\"; it is relative to `workdir`",
            )
        };
        if text.is_empty() {
            return Err(invalid("it is empty".to_owned()));
        }
        let mut base = workdir.to_owned();
        let mut steps = Path::new(text).components().peekable();
        while let Some(step) = steps.next_if(|step| !has_wildcard(step)) {
            base.push(step);
        }
        let rest: PathBuf = steps.collect();
        if rest.as_os_str().is_empty() {
            return Ok(Self { base, below: None });
        }
        let glob = GlobBuilder::new(&rest.to_string_lossy())
            .literal_separator(true)
            .build();
        let glob = glob.map_err(|error| invalid(error.kind().to_string()))?;
        Ok(Self {
            base,
            below: Some(glob.compile_matcher()),
        })
    }
}

fn has_wildcard(step: &Component<'_>) -> bool {
    let text = step.as_os_str().to_string_lossy();
    text.contains(['*', '?', '[', ']', '{', '}', '\\'])
}
