//! The wasmtime engines: how guests are compiled, where their memory comes from, and how a guest that does not give
//! way is interrupted.
//!
//! There are two, and a package runs in the one that its component suits: [`EngineKind`] says which and why.

mod choice;
mod collector;
mod copy_on_write;
mod epoch;
mod families;
mod images;
#[cfg(target_os = "linux")]
mod pool;
#[cfg(not(target_os = "linux"))]
#[path = "no_pool.rs"]
mod pool;
mod share;
mod world;

use std::sync::OnceLock;

use wasmtime::{Config, Engine, WasmBacktraceDetails};

pub use choice::Choice;
pub(crate) use collector::EngineCollector;
pub(crate) use copy_on_write::SlotUse;
use families::Families;
pub(crate) use images::ImagedMemory;
use pool::Pooled;
pub(crate) use pool::{Images, open_images};
pub(crate) use share::{Slots, shares};
pub use world::World;

/// Stack of one guest call, host frames included. Wasmtime's default of 2 MiB is address space only, but a smaller
/// stack is one that more instances can have.
const ASYNC_STACK_BYTES: usize = 512 << 10;

/// The part of that stack that a guest itself may use: the rest is for the host functions it calls.
const WASM_STACK_BYTES: usize = 256 << 10;

/// Instances alive at once over all packages: each reserves a memory's address space, 4 GiB of the 128 TiB that a
/// process has. The pool lowers it to what the kernel's limit on mappings allows.
pub(crate) const MAX_INSTANCES: u32 = 10_000;

/// Instances that there is room for at the least: a reload may bring packages, and an engine is made once.
pub(crate) const EXPECTED_INSTANCES: u32 = 1_000;

/// Core modules that one component may instantiate: an interpreter whose libraries are linked as modules of their own,
/// such as Python's with its extensions, has about a hundred.
pub(crate) const MAX_CORE_INSTANCES: u32 = 1_000;

/// Memories of one component: each takes a slot of the pool, and a component composed of several has one or two for
/// each.
pub(crate) const MAX_MEMORIES: u32 = 20;

/// Tables of one component, for the same reason.
pub(crate) const MAX_TABLES: u32 = 40;

/// Functions of one instance, each module counted as often as it is instantiated: each may take 32 bytes of the
/// instance, and the largest interpreters have some tens of thousands.
pub(crate) const MAX_FUNCTIONS: u32 = 500_000;

/// The kind of an engine, by where the memory of a package's instances comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// Memories and stacks of `wasmgate-pool`: no system call and no page fault in the steady state. Data segments
    /// are copied at each instantiation. Linux alone has it: elsewhere all packages run in the other one.
    Pool,
    /// Wasmtime's own pool, which maps data segments copy-on-write: better when there is much of it.
    CopyOnWrite,
}

impl EngineKind {
    /// The word for it in the configuration and in what the gateway prints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::CopyOnWrite => "copy-on-write",
        }
    }
}

/// The most that the second engine may hold at once, over all its packages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineLimits {
    /// Instances alive at once.
    pub instances: u32,
}

/// The engines; the second is made when a package first needs it, and is the only one where there is no pool.
pub(crate) struct Engines {
    limits: EngineLimits,
    pool: Option<Pooled>,
    copy_on_write: OnceLock<Engine>,
}

impl Engines {
    /// Makes the first engine and starts its ticker.
    ///
    /// # Errors
    /// When the machine cannot give the pool what it needs.
    pub(crate) fn new(limits: EngineLimits) -> wasmtime::Result<Self> {
        Ok(Self {
            limits,
            pool: Pooled::new(common())?,
            copy_on_write: OnceLock::new(),
        })
    }

    /// The engine of this kind.
    ///
    /// # Errors
    /// When the machine cannot give the second pool its address space.
    pub(crate) fn get(&self, kind: EngineKind) -> wasmtime::Result<&Engine> {
        match (kind, &self.pool) {
            (EngineKind::Pool, Some(pool)) => Ok(pool.engine()),
            (EngineKind::Pool, None) | (EngineKind::CopyOnWrite, _) => {
                if let Some(engine) = self.copy_on_write.get() {
                    return Ok(engine);
                }
                let mut config = common();
                copy_on_write::configure(&mut config, self.limits);
                let engine = Engine::new(&config)?;
                epoch::start(&engine);
                Ok(self.copy_on_write.get_or_init(|| engine))
            }
        }
    }

    /// The use of the second engine's slots; none of them if no package has needed it yet.
    pub(crate) fn copy_on_write_slots(&self) -> Vec<SlotUse> {
        copy_on_write::slots(self.copy_on_write.get(), self.limits)
    }

    /// The slots that the packages of an engine share.
    pub(crate) fn slots(&self, kind: EngineKind) -> Slots {
        match (kind, &self.pool) {
            (EngineKind::Pool, Some(pool)) => pool.slots(),
            (EngineKind::Pool, None) | (EngineKind::CopyOnWrite, _) => copy_on_write::all_slots(self.limits),
        }
    }

    /// The choice for a component with so many bytes of data to copy for each instance, of which `imaged` may be mapped
    /// instead, unless the configuration asks for one.
    pub(crate) fn choose(&self, world: World, active_data: u64, imaged: u64, wanted: Option<EngineKind>) -> Choice {
        choice::choose(world, active_data, imaged, wanted, self.pool.is_some())
    }

    /// Gives memory of the first engine's idle slots back.
    pub(crate) fn trim(&self) {
        if let Some(pool) = &self.pool {
            pool.trim();
        }
    }

    fn show_pool(&self, families: &mut Families) {
        if let Some(pool) = &self.pool {
            pool.show(families);
        }
    }
}

/// An engine that only compiles, for one of these.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn for_compiling(kind: EngineKind) -> wasmtime::Result<Engine> {
    let mut config = common();
    match kind {
        // How memories are laid out is part of the code.
        EngineKind::Pool => pool::lay_out(&mut config)?,
        // The slots of wasmtime's pool are not: an engine that has none compiles the same, and takes no address space.
        EngineKind::CopyOnWrite => {}
    }
    Engine::new(&config)
}

/// The settings that the engines have in common.
fn common() -> Config {
    let mut config = Config::new();
    config
        // WASI 0.2 needs no concurrent calls into one instance, and paying for them costs a third of all requests.
        .concurrency_support(false)
        .epoch_interruption(true)
        // Function names are enough for the log, and the variable that would ask for more is not ours to read.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .async_stack_size(ASYNC_STACK_BYTES)
        .max_wasm_stack(WASM_STACK_BYTES);
    config
}
