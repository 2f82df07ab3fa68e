//! The engine for most packages: memories and stacks from `wasmgate-pool`.

use wasmgate_pool::{Pool, Settings};
use wasmtime::Config;

use super::EngineLimits;

/// Memories of one instance: a component made of a main module and an adapter has two.
const MEMORIES_PER_INSTANCE: usize = 2;

pub(super) fn configure(config: &mut Config, limits: EngineLimits) -> wasmtime::Result<Pool> {
    let instances = usize::try_from(limits.instances).unwrap_or(usize::MAX);
    let settings = Settings {
        max_memories: instances.saturating_mul(MEMORIES_PER_INSTANCE),
        max_stacks: instances,
        ..Settings::default()
    };
    Ok(wasmgate_pool::configure(config, settings)?)
}
