//! The engine for components with much data: wasmtime's own pool, with data segments mapped copy-on-write.

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::{ASYNC_STACK_BYTES, EngineLimits};

/// Instances in this engine: it reserves all their address space when it is made, so it is given less than the
/// other. Its packages take milliseconds of CPU a request, so fewer are in flight.
const MAX_INSTANCES: u32 = 2_000;

/// Memory of a slot that is zeroed by hand when an instance ends, instead of being given back to the kernel and
/// faulted in again by the next.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// Parts of one component: interpreters compiled to components come as some ten modules.
const PARTS_PER_COMPONENT: u32 = 20;

/// Parts that an average instance has, by which the totals are reckoned.
const PARTS_PER_INSTANCE: u32 = 4;

/// Metadata of one instance: large interpreters have tens of thousands of functions.
const INSTANCE_BYTES: usize = 1 << 20;

/// Elements of one table, for the same reason.
const TABLE_ELEMENTS: usize = 100_000;

pub(super) fn configure(config: &mut Config, limits: EngineLimits) {
    let instances = limits.instances.min(MAX_INSTANCES);
    let parts = instances.saturating_mul(PARTS_PER_INSTANCE);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(parts)
        .total_memories(parts)
        .total_tables(parts)
        .total_stacks(instances)
        .max_memories_per_component(PARTS_PER_COMPONENT)
        .max_tables_per_component(PARTS_PER_COMPONENT)
        .max_core_instances_per_component(PARTS_PER_COMPONENT)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(limits.memory)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(ASYNC_STACK_BYTES)
        .max_unused_warm_slots(instances)
        // The kernel's dirty-page scan as this version of wasmtime uses it misses pages that are swapped out or
        // being moved, so a guest could read an earlier request's bytes.
        .pagemap_scan(Enabled::No);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
}
