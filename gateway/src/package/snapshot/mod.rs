//! Snapshots: components in the state that their own start-up leaves, so that instances need not run it.
//!
//! This does what [wizer] does, for components: the modules are instantiated as the component specifies, its exported
//! [`INITIALIZER`] is called, and the contents of memories and globals become their initial values. Nothing outside of
//! the component may be called meanwhile, since all instances would share the answer: a seed, a time, a handle.
//!
//! The modules run here without the component around them, so that each imported function that is called is known by
//! its name, and memories and globals can be read directly. wizer's own method adds a module to the component that
//! exposes these by exports, and could report only that something failed.
//!
//! [wizer]: https://docs.wasmtime.dev/cli-options.html#wizer

mod host;
mod instrument;
mod rewrite;
mod run;
mod scan;
mod wiring;

use std::{collections::BTreeMap, fmt, time::Duration};

use wasmparser::BinaryReaderError;
use wasmtime::Engine;

use scan::Shape;
use wiring::Wiring;

/// The exported start-up function, without parameters and results. The name is wizer's.
pub(super) const INITIALIZER: &str = "wizer-initialize";

/// The time-out of a start-up: every start of a gateway without a cache waits for it.
const START_UP_TIME: Duration = Duration::from_secs(10);

/// The limits of a start-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SnapshotLimits {
    /// The size of its memories and tables, in bytes.
    pub(super) memory: u64,
    /// The time-out.
    pub(super) time: Duration,
}

impl SnapshotLimits {
    /// The limits, given an instance's memory limit and the time-out of compilers: a start-up that does not end must be
    /// told from a component that takes long to compile.
    pub(super) fn new(memory: u64, compile_time: Duration) -> Self {
        Self {
            memory,
            time: START_UP_TIME.min(compile_time / 2),
        }
    }
}

/// Why no snapshot can be taken of a component.
#[derive(Clone, Debug)]
pub(super) struct NoSnapshot {
    /// The kind of reason.
    pub(super) why: Why,
    /// The details.
    pub(super) what: String,
}

/// Kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It exports no initializer.
    NoInitializer,
    /// It uses a feature that snapshots do not support.
    Unsupported,
    /// Its start-up calls an import.
    Import,
    /// Its start-up traps or panics.
    Trap,
    /// Its start-up does not end.
    Time,
    /// Its start-up takes more memory than an instance is allowed.
    Memory,
    /// It was made by Go, whose runtime is seeded once at its start.
    Go,
}

impl Why {
    const ALL: [Self; 7] = [
        Self::NoInitializer,
        Self::Unsupported,
        Self::Import,
        Self::Trap,
        Self::Time,
        Self::Memory,
        Self::Go,
    ];

    /// Its name between processes.
    const fn name(self) -> &'static str {
        match self {
            Self::NoInitializer => "no-initializer",
            Self::Unsupported => "unsupported",
            Self::Import => "import",
            Self::Trap => "trap",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Go => "go",
        }
    }

    /// The remedy.
    pub(super) const fn help(self) -> &'static str {
        match self {
            Self::NoInitializer => {
                "export the start-up, for example with `wasmgate_sdk::init!`, or take `snapshot` away"
            }
            Self::Unsupported | Self::Go => "take `snapshot` away: the component is served without as well",
            Self::Import => {
                "do that when a request is handled: all instances would share the answer, be it the time, a seed or a variable; \
                 for tables, `wasmgate_sdk::FrozenMap` needs no seed"
            }
            Self::Trap => "correct the start-up, or take `snapshot` away",
            Self::Time => "let the start-up do less, or take `snapshot` away",
            Self::Memory => "let the start-up take less, or raise `memory` in the package's `limits`",
        }
    }
}

impl NoSnapshot {
    fn unsupported(what: impl Into<String>) -> Self {
        Self {
            why: Why::Unsupported,
            what: what.into(),
        }
    }

    /// Parses what `Display` has written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, what) = text.split_once(": ")?;
        Some(Self {
            why: Why::ALL.into_iter().find(|why| why.name() == name)?,
            what: what.to_owned(),
        })
    }
}

impl fmt::Display for NoSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.why.name(), self.what)
    }
}

impl From<BinaryReaderError> for NoSnapshot {
    fn from(error: BinaryReaderError) -> Self {
        Self::unsupported(format!("it is not a valid component: {error}"))
    }
}

/// The component in the state that its start-up leaves. It runs in an engine that is made for it.
///
/// # Errors
/// When it has none, or one that breaks the rules of start-ups.
pub(super) fn take(component: &[u8], engine: &Engine, limits: SnapshotLimits) -> Result<Vec<u8>, NoSnapshot> {
    let wiring = Wiring::read(component)?;
    let mut shapes = BTreeMap::new();
    for index in wiring.instantiated()? {
        let module = wiring.module(index)?;
        let bytes = component.get(module.clone()).unwrap_or_default();
        shapes.insert(index, Shape::read(bytes)?);
    }
    let states = run::run(component, &wiring, &shapes, engine, limits)?;
    let mut modules = BTreeMap::new();
    for (index, state) in &states {
        let module = wiring.module(*index)?;
        let bytes = component.get(module.clone()).unwrap_or_default();
        modules.insert(module.start, rewrite::with_state(bytes, state)?);
    }
    Ok(rewrite::with_modules(component, &modules)?)
}

#[cfg(test)]
mod tests;
