//! The wasmtime engine: how guests are compiled, how their memory is allocated, and how a guest that does not
//! give way is interrupted. Every number has its reason here.

use std::thread;
use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often a running guest can be made to yield. A guest that spins holds its worker for at most this long
/// before the requests beside it are served; shorter costs wake-ups of an idle machine.
pub const EPOCH_TICK: Duration = Duration::from_millis(10);

/// Stack of one guest call, host frames included. Wasmtime's default of 2 MiB is address space only, but a
/// smaller stack is one that more instances can have.
const ASYNC_STACK_BYTES: usize = 512 << 10;

/// What of the stack above a guest itself may use: the rest is for host functions it calls.
const WASM_STACK_BYTES: usize = 256 << 10;

/// Memory of a slot that is zeroed by hand when an instance ends, instead of being given back to the kernel
/// and faulted in again by the next: covers the heap and stack of a small guest.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// Tables in a component: several core modules (adapters) share one component.
const TABLE_ELEMENTS: usize = 100_000;

/// What the pool may hold at once, over all packages.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Component instances alive at once.
    pub instances: u32,
    /// Largest linear memory of any package, in bytes.
    pub memory: usize,
}

/// Instances alive at once over all packages: each reserves a memory slot of address space, and the kernel's
/// default of 65,530 mappings allows no more than a few per slot.
pub const MAX_INSTANCES: u32 = 2_000;

/// Memories of one slot: a component made of an adapter and a main module has two.
const MEMORIES_PER_INSTANCE: u32 = 2;

/// Builds the engine and starts the ticker that ends with it.
///
/// # Errors
/// When the machine cannot give the pool its address space.
pub fn build(limits: PoolLimits) -> wasmtime::Result<wasmtime::Engine> {
    let engine = wasmtime::Engine::new(&config(limits))?;
    start_ticker(&engine);
    Ok(engine)
}

fn config(limits: PoolLimits) -> Config {
    let mut config = Config::new();
    config
        // WASI 0.2 needs no concurrent calls into one instance, and paying for them costs a third of all requests.
        .concurrency_support(false)
        .epoch_interruption(true)
        .async_stack_size(ASYNC_STACK_BYTES)
        .max_wasm_stack(WASM_STACK_BYTES)
        .wasm_component_model(true)
        // A trap's frames go to the log by function name; line tables of guests are not worth their size.
        .generate_address_map(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    config
}

fn pool(limits: PoolLimits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances.saturating_mul(8))
        .total_memories(limits.instances.saturating_mul(MEMORIES_PER_INSTANCE))
        .total_tables(limits.instances.saturating_mul(8))
        .total_stacks(limits.instances)
        .max_memories_per_component(20)
        .max_tables_per_component(20)
        .max_core_instances_per_component(20)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(limits.memory)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(ASYNC_STACK_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .max_unused_warm_slots(limits.instances)
        // The kernel's dirty-page scan as used by this version misses pages that are swapped or being
        // migrated, so a guest could read an earlier request's bytes.
        .pagemap_scan(Enabled::No);
    pool
}

/// Advances the epoch until the engine is gone.
fn start_ticker(engine: &wasmtime::Engine) {
    let weak = engine.weak();
    let ticker = thread::Builder::new().name("epoch".to_owned());
    let started = ticker.spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(EPOCH_TICK);
        }
    });
    if let Err(error) = started {
        tracing::error!(%error, "no thread for the epoch: a guest that spins will hold its worker");
    }
}
