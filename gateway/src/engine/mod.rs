//! The wasmtime engines: how guests are compiled, which allocator their memory comes from, and how they are
//! interrupted.
//!
//! There are two kinds, and a package runs in the one that suits its component: [`EngineKind`] says which and why. Each
//! kind has one engine per [`World`]: concurrent calls into an instance, which WASI 0.3 needs, would make requests of
//! WASI 0.2 cost a third more.

mod choice;
mod collector;
mod copy_on_write;
mod epoch;
mod families;
mod images;
mod machine;
mod of_each;
#[cfg(target_os = "linux")]
mod pool;
#[cfg(not(target_os = "linux"))]
#[path = "no_pool.rs"]
mod pool;
mod share;
mod stack;
mod world;

use wasmtime::{Config, Engine, OptLevel, WasmBacktraceDetails};

pub use choice::Choice;
pub(crate) use choice::Weighed;
pub(crate) use collector::EngineCollector;
pub(crate) use copy_on_write::SlotUse;
#[cfg(test)]
pub(crate) use epoch::shared;
pub(crate) use epoch::{SHORT_TICK, share_workers, ticked};
use families::Families;
pub(crate) use images::ImagedMemory;
pub(crate) use machine::{fingerprint, processor, target};
pub(crate) use of_each::OfEach;
use pool::Pooled;
pub(crate) use pool::{Images, keep_until_clean, open_images};
pub(crate) use share::{Slots, shares};
pub(crate) use stack::StackSize;
pub use world::World;

/// Instances alive at once over all packages: each reserves a memory's address space, 4 GiB of the 128 TiB that a
/// process has. The pool lowers it to what the kernel's limit on mappings allows.
pub(crate) const MAX_INSTANCES: u32 = 10_000;

/// Instances that there is room for at the least: a reload may bring packages, and an engine is made once.
pub(crate) const EXPECTED_INSTANCES: u32 = 1_000;

/// Core modules that one component may instantiate: an interpreter whose libraries are linked as modules of their own,
/// such as Python's with its extensions, has about a hundred.
pub(crate) const MAX_CORE_INSTANCES: u32 = 1_000;

/// Memories of one component: each takes a slot of the pool, and a component composed of several has one or two for
/// each. How many instances there may be at once follows from it.
pub(crate) const MAX_MEMORIES: u32 = 100;

/// Tables of one component: an interpreter whose libraries are linked as modules of their own may have one for each of
/// them, and a component composed of several has all of theirs.
pub(crate) const MAX_TABLES: u32 = 1_000;

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

/// The most that engines may hold at once, over all their packages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineLimits {
    /// Instances alive at once in a copy-on-write engine.
    pub instances: u32,
    /// Bytes that the pool's idle memories keep resident for each worker.
    pub idle_bytes: usize,
}

/// An engine by its kind, the world of its components and the size of their stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EngineId {
    /// The kind.
    pub kind: EngineKind,
    /// The world.
    pub world: World,
    /// The size of its stacks, which is no part of compiled code.
    pub stack: StackSize,
}

impl EngineId {
    /// All of a kind.
    pub(crate) fn all_of(kind: EngineKind) -> impl Iterator<Item = Self> {
        let worlds = [World::Proxy, World::Service];
        worlds.into_iter().flat_map(move |world| {
            StackSize::ALL
                .into_iter()
                .map(move |stack| Self { kind, world, stack })
        })
    }
}

/// The engines; but for the first, each is made when a package first needs it. Those with the pool are only there where
/// it is.
pub(crate) struct Engines {
    limits: EngineLimits,
    pool: Option<Pooled>,
    engines: OfEach<Engine>,
}

impl Engines {
    /// Makes the first engine and starts its ticker.
    ///
    /// # Errors
    /// When the machine cannot give the pool what it needs.
    pub(crate) fn new(limits: EngineLimits) -> wasmtime::Result<Self> {
        let engines = Self {
            limits,
            pool: Pooled::new(limits)?,
            engines: OfEach::default(),
        };
        if engines.pool.is_some() {
            engines.get(EngineId {
                kind: EngineKind::Pool,
                world: World::Proxy,
                stack: StackSize::default(),
            })?;
        }
        Ok(engines)
    }

    /// The engine that goes by this.
    ///
    /// # Errors
    /// When the machine cannot give wasmtime's pool its address space.
    pub(crate) fn get(&self, id: EngineId) -> wasmtime::Result<&Engine> {
        self.engines.get_or_try(id, || {
            let mut config = common(id.world, id.stack);
            match (id.kind, &self.pool) {
                (EngineKind::Pool, Some(pool)) => pool.attach(&mut config),
                (EngineKind::Pool, None) | (EngineKind::CopyOnWrite, _) => {
                    copy_on_write::configure(&mut config, self.limits, id.stack);
                }
            }
            let engine = Engine::new(&config)?;
            epoch::start(&engine);
            Ok(engine)
        })
    }

    /// The use of the slots of the copy-on-write engines; none of them if no package has needed one yet.
    pub(crate) fn copy_on_write_slots(&self) -> Vec<SlotUse> {
        copy_on_write::slots(&self.engines.made(EngineKind::CopyOnWrite), self.limits)
    }

    /// The slots that the packages of one engine share; those of the pool are shared by its engines.
    pub(crate) fn slots(&self, id: EngineId) -> Slots {
        match (id.kind, &self.pool) {
            (EngineKind::Pool, Some(pool)) => pool.slots(),
            (EngineKind::Pool, None) | (EngineKind::CopyOnWrite, _) => copy_on_write::all_slots(self.limits, id.stack),
        }
    }

    /// The choice for a component with so much to copy for each instance, unless the configuration asks for one.
    pub(crate) fn choose(&self, of: Weighed, wanted: Option<EngineKind>) -> Choice {
        choice::choose(of, wanted, self.pool.is_some())
    }

    /// Gives memory of the pool's idle slots back.
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
pub(crate) fn for_compiling(id: EngineId) -> wasmtime::Result<Engine> {
    Engine::new(&compiling(id)?)
}

/// Its settings.
fn compiling(id: EngineId) -> wasmtime::Result<Config> {
    let mut config = common(id.world, id.stack);
    match id.kind {
        // How memories are laid out is part of the code.
        EngineKind::Pool => pool::lay_out(&mut config)?,
        // The slots of wasmtime's pool are not: an engine that has none compiles the same, and takes no address space.
        EngineKind::CopyOnWrite => {}
    }
    Ok(config)
}

/// An engine in which the start-up of a component runs once, so that its code need not be good.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn for_start_ups() -> wasmtime::Result<Engine> {
    let mut config = common(World::Proxy, StackSize::default());
    config.cranelift_opt_level(OptLevel::None);
    Engine::new(&config)
}

/// The settings that the engines for a world have in common.
fn common(world: World, stack: StackSize) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(world.is_concurrent())
        .epoch_interruption(true)
        // Function names are enough for the log, and the variable that would ask for more is not ours to read.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // Places within them, and how others than wasmtime find their frames: a tenth of the compiler's time, and of
        // the code on disk.
        .generate_address_map(false)
        .native_unwind_info(false)
        .async_stack_size(stack.all_bytes())
        .max_wasm_stack(stack.wasm_bytes());
    config
}
