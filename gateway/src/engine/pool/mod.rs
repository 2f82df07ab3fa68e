//! The engine for most packages: memories and stacks from `wasmgate-pool`, which knows Linux alone.

mod figures;

use wasmgate_pool::{Pool, Settings};
use wasmtime::{Config, Engine};

use super::{MAX_INSTANCES, Slots, epoch};

/// Memories of one instance: a component made of a main module and an adapter has two.
const MEMORIES_PER_INSTANCE: usize = 2;

/// A slot is made when it is first needed, so there may be as many as any configuration asks for.
fn configure(config: &mut Config) -> wasmtime::Result<Pool> {
    let instances = usize::try_from(MAX_INSTANCES).unwrap_or(usize::MAX);
    let settings = Settings {
        max_memories: instances.saturating_mul(MEMORIES_PER_INSTANCE),
        max_stacks: instances,
        ..Settings::default()
    };
    Ok(wasmgate_pool::configure(config, settings)?)
}

/// Has an engine that only compiles lay memories out as the pool does.
///
/// # Errors
/// When the machine cannot give a pool what it needs.
pub(super) fn lay_out(config: &mut Config) -> wasmtime::Result<()> {
    configure(config).map(drop)
}

/// The engine and its pool.
pub(super) struct Pooled {
    engine: Engine,
    pool: Pool,
}

impl Pooled {
    /// Makes the engine, and starts its ticker.
    ///
    /// # Errors
    /// When the machine cannot give the pool what it needs.
    pub(super) fn new(mut config: Config) -> wasmtime::Result<Option<Self>> {
        let pool = configure(&mut config)?;
        let engine = Engine::new(&config)?;
        epoch::start(&engine);
        Ok(Some(Self { engine, pool }))
    }

    /// The engine.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The slots that its packages share.
    pub(super) fn slots(&self) -> Slots {
        let metrics = self.pool.metrics();
        Slots {
            memories: metrics.memories.limit,
            tables: usize::MAX,
            instances: metrics.stacks.limit,
        }
    }

    /// Gives memory of idle slots back.
    pub(super) fn trim(&self) {
        self.pool.trim();
    }
}
