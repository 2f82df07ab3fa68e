//! The engine for components with much data: wasmtime's own pool, with data segments mapped copy-on-write.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, PoolingAllocatorMetrics};

use super::{EngineId, EngineLimits, MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLES, Slots, StackSize};

/// Instances of this engine, which reserves the address space for all of them when it is created. Its packages take
/// milliseconds of CPU per request, so fewer are in flight.
const MAX_INSTANCES: u32 = 2_000;

/// Memory of a slot that is zeroed by memset when an instance ends, instead of being returned to the kernel and faulted
/// in again.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// Engines with other stack sizes have address space for this fraction of the instances.
const PART_OF_OTHER_STACKS: u32 = 8;

/// Memories per instance: most have two, and each reserves four gigabytes of address space.
const MEMORIES_PER_INSTANCE: u32 = 4;

/// Tables per instance: an interpreter has fourteen, and each reserves eight megabytes of address space.
const TABLES_PER_INSTANCE: u32 = 20;

/// Metadata of one instance, all its modules together: large interpreters have tens of thousands of functions. It is
/// allocated on demand.
const INSTANCE_BYTES: usize = 16 << 20;

/// The maximum memory of a slot: the 32-bit address space, which is reserved in any case. The package's own limit
/// applies to its instances.
const MEMORY_BYTES: usize = 4 << 30;

/// Elements of one table: eight megabytes of address space.
const TABLE_ELEMENTS: usize = 1_000_000;

/// The use of the slots of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotUse {
    /// The kind of the slots.
    pub kind: &'static str,
    /// The limit.
    pub limit: usize,
    /// In use.
    pub live: usize,
    /// Idle, ready for the next instance.
    pub warm: usize,
    /// Resident bytes of idle slots, if known.
    pub warm_resident_bytes: Option<usize>,
}

impl SlotUse {
    fn add(&mut self, other: Self) {
        self.limit = self.limit.saturating_add(other.limit);
        self.live = self.live.saturating_add(other.live);
        self.warm = self.warm.saturating_add(other.warm);
        if let (Some(bytes), Some(more)) = (&mut self.warm_resident_bytes, other.warm_resident_bytes) {
            *bytes = bytes.saturating_add(more);
        }
    }
}

/// The slots of an engine with one stack size.
#[derive(Debug, Clone, Copy)]
struct Totals {
    instances: u32,
    memories: u32,
    tables: u32,
}

impl Totals {
    fn new(limits: EngineLimits, stack: StackSize) -> Self {
        let most = match stack {
            StackSize::Half => MAX_INSTANCES,
            _ => MAX_INSTANCES / PART_OF_OTHER_STACKS,
        };
        let instances = limits.instances.min(most);
        Self {
            instances,
            memories: instances.saturating_mul(MEMORIES_PER_INSTANCE),
            tables: instances.saturating_mul(TABLES_PER_INSTANCE),
        }
    }
}

/// The slots of an engine made by [`configure`].
pub(super) fn all_slots(limits: EngineLimits, stack: StackSize) -> Slots {
    let totals = Totals::new(limits, stack);
    let number = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Slots {
        memories: number(totals.memories),
        tables: number(totals.tables),
        instances: number(totals.instances),
    }
}

/// The use of the slots of all engines made by [`configure`]; without any, of one that does not exist yet.
pub(super) fn slots(engines: &[(EngineId, &Engine)], limits: EngineLimits) -> Vec<SlotUse> {
    let mut all = None::<Vec<SlotUse>>;
    for (id, engine) in engines {
        let metrics = engine.pooling_allocator_metrics();
        let own = of_one(metrics.as_ref(), Totals::new(limits, id.stack));
        match &mut all {
            None => all = Some(own),
            Some(all) => all.iter_mut().zip(own).for_each(|(sum, own)| sum.add(own)),
        }
    }
    all.unwrap_or_else(|| of_one(None, Totals::new(limits, StackSize::default())))
}

fn of_one(metrics: Option<&PoolingAllocatorMetrics>, totals: Totals) -> Vec<SlotUse> {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let slots = |kind, limit: u32, live, warm: Option<u32>, warm_resident_bytes| SlotUse {
        kind,
        limit: number(limit.into()),
        live,
        warm: number(warm.unwrap_or_default().into()),
        warm_resident_bytes,
    };
    vec![
        slots(
            "memory",
            totals.memories,
            metrics.map_or(0, |m| m.memories()),
            metrics.map(|m| m.unused_warm_memories()),
            Some(metrics.map_or(0, |m| m.unused_memory_bytes_resident())),
        ),
        slots(
            "table",
            totals.tables,
            metrics.map_or(0, |m| m.tables()),
            metrics.map(|m| m.unused_warm_tables()),
            Some(metrics.map_or(0, |m| m.unused_table_bytes_resident())),
        ),
        slots(
            "stack",
            totals.instances,
            metrics.map_or(0, |m| m.stacks()),
            metrics.map(|m| m.unused_warm_stacks()),
            metrics.and_then(|m| m.unused_stack_bytes_resident()),
        ),
        slots(
            "core-instance",
            totals.instances.saturating_mul(MAX_CORE_INSTANCES),
            metrics.map_or(0, |m| number(m.core_instances())),
            None,
            None,
        ),
    ]
}

pub(super) fn configure(config: &mut Config, limits: EngineLimits, stack: StackSize) {
    let Totals {
        instances,
        memories,
        tables,
    } = Totals::new(limits, stack);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        // Only counted: their memory is allocated on demand.
        .total_core_instances(instances.saturating_mul(MAX_CORE_INSTANCES))
        .total_memories(memories)
        .total_tables(tables)
        .total_stacks(instances)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_module(MAX_MEMORIES)
        .max_tables_per_module(MAX_TABLES)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(MEMORY_BYTES)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(stack.all_bytes())
        .max_unused_warm_slots(instances)
        // This version of wasmtime's use of PAGEMAP_SCAN misses pages that are swapped out or being migrated, so a
        // guest could read an earlier request's bytes.
        .pagemap_scan(Enabled::No);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
}
