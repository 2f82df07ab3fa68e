//! `wasi:logging`: lines for the gateway's log, within what a guest may put there.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker},
};

use crate::instance::{HostState, LogLevel};

/// The interface, by the names that components import: wasmCloud's older ones have no version.
pub(super) const OFFERED: [&str; 2] = ["wasi:logging/logging@0.1.0-draft", "wasi:logging/logging"];

/// `wasi:logging/logging.level`.
#[expect(dead_code, reason = "wasmtime makes them of what a guest passes")]
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
            Level::Critical => Self::Critical,
        }
    }
}

/// Puts the interface into a linker.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link(linker: &mut Linker<HostState>, name: &str) -> wasmtime::Result<()> {
    linker.instance(name)?.func_wrap(
        "log",
        |mut store: StoreContextMut<'_, HostState>, (level, context, message): (Level, String, String)| {
            store.data_mut().log(level.into(), &context, &message);
            Ok(())
        },
    )
}
