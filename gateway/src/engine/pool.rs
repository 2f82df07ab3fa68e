//! The engine for most packages: memories and stacks from `wasmgate-pool`.

use wasmgate_pool::{Pool, Settings};
use wasmtime::Config;

use super::MAX_INSTANCES;

/// Memories of one instance: a component made of a main module and an adapter has two.
const MEMORIES_PER_INSTANCE: usize = 2;

/// A slot is made when it is first needed, so there may be as many as any configuration asks for.
pub(super) fn configure(config: &mut Config) -> wasmtime::Result<Pool> {
    let instances = usize::try_from(MAX_INSTANCES).unwrap_or(usize::MAX);
    let settings = Settings {
        max_memories: instances.saturating_mul(MEMORIES_PER_INSTANCE),
        max_stacks: instances,
        ..Settings::default()
    };
    Ok(wasmgate_pool::configure(config, settings)?)
}
