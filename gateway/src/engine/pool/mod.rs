//! The engines of most packages: memories and stacks come from `wasmgate-pool`, which supports only Linux.

mod figures;

use std::{fs::File, io, sync::Arc};

pub(crate) use wasmgate_pool::Images;
use wasmgate_pool::{Image, ImageOf, Pool, Settings};
use wasmtime::Config;

use super::{EngineLimits, ImagedMemory, MAX_INSTANCES, Slots};

/// Memories per instance: a component of a main module and an adapter has two.
const MEMORIES_PER_INSTANCE: usize = 2;

/// Slots are created on demand, so there may be as many as a configuration asks for.
fn make(settings: Settings) -> wasmtime::Result<Pool> {
    let instances = usize::try_from(MAX_INSTANCES).unwrap_or(usize::MAX);
    let settings = Settings {
        max_memories: instances.saturating_mul(MEMORIES_PER_INSTANCE),
        max_stacks: instances,
        ..settings
    };
    Ok(Pool::new(settings)?)
}

/// Configures an engine that only compiles to use the pool's memory layout.
///
/// # Errors
/// When the machine cannot provide the pool's resources.
pub(super) fn lay_out(config: &mut Config) -> wasmtime::Result<()> {
    make(Settings::default())?.attach(config);
    Ok(())
}

/// The images of these memories, consecutive in `file` from the offset `at`; each instance has this many memories.
///
/// # Errors
/// When they cannot be mapped.
pub(crate) fn open_images(file: &File, mut at: u64, of: &[ImagedMemory], memories: usize) -> io::Result<Images> {
    let mut images = Vec::with_capacity(of.len());
    for of in of {
        images.push(ImageOf {
            minimum_bytes: of.minimum_bytes,
            maximum_pages: of.maximum_pages,
            image: Arc::new(Image::new(file.try_clone()?, at, of.image_bytes)?),
        });
        at += of.image_bytes as u64;
    }
    Ok(Images::new(images, memories))
}

/// Keeps a value until the memories that this thread has returned since the last call are clean.
pub(crate) fn keep_until_clean(value: impl Send + 'static) {
    if let Some(unfinished) = wasmgate_pool::unfinished() {
        unfinished.keep(value);
    }
}

/// The pool, shared by the engines of all worlds.
pub(super) struct Pooled {
    pool: Pool,
}

impl Pooled {
    /// Creates the pool.
    ///
    /// # Errors
    /// When the machine cannot provide the pool's resources.
    pub(super) fn new(limits: EngineLimits) -> wasmtime::Result<Option<Self>> {
        let settings = Settings::default();
        let idle_bytes = limits.idle_bytes.min(settings.max_warm_bytes_per_worker);
        let pool = make(Settings {
            max_warm_bytes_per_worker: idle_bytes,
            ..settings
        })?;
        Ok(Some(Self { pool }))
    }

    /// Configures an engine to take its memories and stacks from the pool.
    pub(super) fn attach(&self, config: &mut Config) {
        self.pool.attach(config);
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

    /// Returns memory of idle slots to the kernel.
    pub(super) fn trim(&self) {
        self.pool.trim();
    }
}
