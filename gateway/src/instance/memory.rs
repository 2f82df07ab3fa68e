//! The memory limit of one instance: its linear memories, tables and globals, and what the host holds for it
//! (resources, header fields, bodies).
//!
//! What the host holds is not counted call by call: each call can add a bounded amount, and the resource table is only
//! measured when that could matter. A usual request ends before the first measurement.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, component::ResourceTable};

use super::holdings;
use crate::{account::Kept, machine_memory::PackageMemory};

/// The cost of a table element to the host, in bytes: a pointer.
const TABLE_ELEMENT_BYTES: usize = 8;

/// The maximum of elements of a table: more than any program needs; filling or moving them takes a millisecond or two,
/// during which the worker does nothing else. wasmtime's own pool has the same limit.
const MOST_ELEMENTS: usize = 1_000_000;

/// The bytes that the host may hold for an instance without counting: the request, its response and a few host calls,
/// so that a guest which uses its memory up to the limit can still respond.
const UNCOUNTED: usize = 256 << 10;

/// The maximum that one host call can leave in the table, in bytes: a full set of fields
/// (`WasiHttpCtx::set_field_size_limit`) and its overhead.
const MOST_OF_A_CALL: usize = holdings::FIELDS_BYTES + holdings::RESOURCE_BYTES;

/// The maximum number of resources of one instance: measuring them takes no more than a millisecond or two.
const MOST_RESOURCES: u32 = 100_000;

/// Up to this many resources are dropped by the worker: it takes no longer than a guest's turn.
const FEW: usize = 1_000;

/// The same in bytes (which may be a hundred thousand values of fields), and in bytes of tables.
const FEW_BYTES: usize = 4 << 20;

/// After this many host calls, whatever they were, there can only be few; nearly all requests make no more.
const FEW_CALLS: usize = 32;

/// Memory that an instance has without a reservation, in bytes: what most need, of which they touch a part.
const UNRESERVED: usize = 2 << 20;

/// The step of reservations, in bytes.
const RESERVED_AT_ONCE: usize = 1 << 20;

/// Adds up an instance's memory, and refuses what exceeds its limit.
pub(super) struct Memory {
    /// The instance's resources.
    pub(super) table: ResourceTable,
    /// The counter of buffered body bytes, if there were any.
    pub(super) kept: Option<Kept>,
    /// Memories, tables and globals, in bytes.
    own: usize,
    /// The tables alone.
    tables: usize,
    /// The bytes held in the resource table beyond the uncounted ones, as last measured.
    held: usize,
    /// The number of wasmtime's entries for a WASI 0.3 guest, as last counted: tasks, calls, streams, futures and sets
    /// of them.
    concurrent: usize,
    /// An upper bound of what has come to the table since.
    unseen: usize,
    /// What may come before it is measured again.
    until_look: usize,
    limit: usize,
    reserved: Reserved,
    is_crowded: bool,
    is_refused: bool,
    is_exceeded: bool,
}

/// An instance's reservation of the memory of all instances; dropping it releases it.
pub(super) struct Reserved {
    of_package: Arc<PackageMemory>,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.of_package.give_back(self.bytes);
        }
    }
}

/// The host holds more for an instance than its limit allows.
#[derive(Debug, thiserror::Error)]
#[error(
    "it has {own} bytes of memory and the host holds {held} for it in resources and fields and {kept} in bodies; `limits.memory` is {limit}"
)]
pub(super) struct Exceeded {
    own: usize,
    held: usize,
    kept: usize,
    limit: usize,
}

impl Memory {
    /// A limit in bytes, from which the globals are subtracted; one beyond the address space is unlimited.
    pub(super) fn new(limit: u64, globals: u64, of_package: Arc<PackageMemory>) -> Self {
        let number = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES as usize);
        Self {
            table,
            kept: None,
            own: number(globals),
            tables: 0,
            held: 0,
            concurrent: 0,
            unseen: 0,
            until_look: number(limit)
                .saturating_add(UNCOUNTED)
                .saturating_sub(number(globals)),
            limit: number(limit),
            reserved: Reserved {
                of_package,
                bytes: 0,
            },
            is_crowded: false,
            is_refused: false,
            is_exceeded: false,
        }
    }

    /// Returns whether the instance was ever refused memory.
    pub(super) fn refused(&self) -> bool {
        self.is_refused || self.kept.as_ref().is_some_and(Kept::is_exceeded)
    }

    /// Returns whether it was refused memory within its own limit because all instances together have too much.
    pub(super) fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    /// Notes a host call, before it is executed: it may leave something in the table.
    #[inline]
    pub(super) fn called(&mut self) {
        self.unseen += MOST_OF_A_CALL;
        if self.unseen > self.until_look {
            self.look();
        }
    }

    /// Notes the number of wasmtime's entries for the instance.
    pub(super) fn keeps(&mut self, concurrent: usize) {
        let more = concurrent.saturating_sub(self.concurrent);
        self.concurrent = concurrent;
        self.unseen = self
            .unseen
            .saturating_add(more.saturating_mul(holdings::RESOURCE_BYTES));
        if self.unseen > self.until_look {
            self.look();
        }
    }

    /// Prepares for another request: buffered bodies belonged to the last one.
    pub(super) fn renew(&mut self) {
        self.kept = None;
        self.look();
    }

    /// Returns whether the host holds nothing for the instance but long-lived resources.
    pub(super) fn holds_nothing_of_a_request(&mut self) -> bool {
        self.kept() == 0 && holdings::are_lasting(&mut self.table)
    }

    /// Returns whether dropping the instance takes long. Does not measure the resources of a guest that has made few
    /// calls.
    pub(super) fn is_much(&mut self) -> bool {
        if self.tables > FEW_BYTES || self.concurrent > FEW {
            return true;
        }
        if self.held == 0 && self.unseen <= FEW_CALLS * MOST_OF_A_CALL {
            return false;
        }
        let (resources, bytes) = holdings::all(&mut self.table);
        resources > FEW || bytes > FEW_BYTES
    }

    /// Memories, tables and globals, in bytes.
    pub(super) fn own(&self) -> usize {
        self.own
    }

    /// Takes the reservation, so that it can outlive the instance.
    pub(super) fn take_reserved(&mut self) -> Option<Reserved> {
        let bytes = std::mem::take(&mut self.reserved.bytes);
        let of_package = || Arc::clone(&self.reserved.of_package);
        (bytes > 0).then(|| Reserved {
            of_package: of_package(),
            bytes,
        })
    }

    /// Computes what further calls may leave before the table is measured.
    fn plan(&mut self) {
        let all = self.limit.saturating_add(UNCOUNTED);
        self.until_look = all.saturating_sub(self.own.saturating_add(self.held));
    }

    /// The excess, if the host holds too much: the instance has to end.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        let is_exceeded = self.is_exceeded || self.kept.as_ref().is_some_and(Kept::is_exceeded);
        is_exceeded.then(|| Exceeded {
            own: self.own,
            held: self.held,
            kept: self.kept(),
            limit: self.limit,
        })
    }

    fn kept(&self) -> usize {
        self.kept.as_ref().map_or(0, Kept::bytes)
    }

    /// Measures the table. If it exceeds the limit, further growth is refused until the guest is stopped at its next
    /// tick.
    fn look(&mut self) {
        if self.is_exceeded {
            self.unseen = 0;
            return;
        }
        let concurrent = self.concurrent.saturating_mul(holdings::RESOURCE_BYTES);
        let (_, bytes) = holdings::all(&mut self.table);
        self.held = bytes.saturating_add(concurrent).saturating_sub(UNCOUNTED);
        self.unseen = 0;
        self.plan();
        self.tell_others();
        let all = self.own.saturating_add(self.held);
        if self.held > 0 && all.saturating_add(self.kept()) > self.limit {
            (self.is_exceeded, self.is_refused) = (true, true);
            self.table.set_max_capacity(0);
        }
    }

    fn tell_others(&self) {
        if let Some(kept) = &self.kept {
            kept.set_others(self.own.saturating_add(self.held));
        }
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let more = desired.saturating_sub(current);
        let wanted = self.own.saturating_add(more);
        if wanted.saturating_add(self.held).saturating_add(self.unseen) > self.limit {
            self.look();
        }
        let all = wanted.saturating_add(self.held).saturating_add(self.kept());
        if all > self.limit {
            self.is_refused = true;
            return false;
        }
        if !self.reserve(wanted) {
            self.is_crowded = true;
            return false;
        }
        self.own = wanted;
        self.plan();
        self.tell_others();
        true
    }

    /// Reserves what exceeds the unreserved part, in steps, so that few instances touch the shared counters.
    fn reserve(&mut self, wanted: usize) -> bool {
        let reserved = &mut self.reserved;
        let beyond = wanted.saturating_sub(UNRESERVED.saturating_add(reserved.bytes));
        if beyond == 0 {
            return true;
        }
        let more = beyond.next_multiple_of(RESERVED_AT_ONCE);
        let is_reserved = reserved.of_package.reserve(more);
        if is_reserved {
            reserved.bytes = reserved.bytes.saturating_add(more);
        }
        is_reserved
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // A growth beyond the guest's own maximum fails by itself.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if desired > MOST_ELEMENTS {
            return Ok(false);
        }
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        let (current, desired) = (bytes(current), bytes(desired));
        let grows = self.grow(current, desired);
        if grows {
            let more = desired.saturating_sub(current);
            self.tables = self.tables.saturating_add(more);
        }
        Ok(grows)
    }
}

#[cfg(test)]
mod tests {
    use wasmtime_wasi_http::{
        FieldMap,
        p2::{bindings::http::types::Method, types::HostOutgoingRequest},
    };

    use super::*;
    use crate::machine_memory::MachineMemory;

    fn limited(limit: u64, globals: u64) -> Memory {
        let all = MachineMemory::new(u64::MAX);
        Memory::new(limit, globals, Arc::new(PackageMemory::new(all)))
    }

    #[test]
    fn what_is_more_than_all_take_is_reserved_and_given_back() {
        let all = MachineMemory::new(8 << 20);
        let package = Arc::new(PackageMemory::new(Arc::clone(&all)));
        let start = || Memory::new(1 << 30, 0, Arc::clone(&package));
        let (mut small, mut large) = (start(), start());
        assert!(small.memory_growing(0, 2 << 20, None).unwrap());
        assert_eq!(all.reserved(), 0);
        assert!(large.memory_growing(0, 8 << 20, None).unwrap());
        assert_eq!(all.reserved(), 6 << 20);
        assert!(!small.memory_growing(2 << 20, 4 << 20, None).unwrap());
        assert!(small.is_crowded() && !small.refused());
        drop(large);
        assert!(small.memory_growing(2 << 20, 4 << 20, None).unwrap());
    }

    #[test]
    fn several_memories_and_globals_share_one_limit() {
        let mut memory = limited(110, 10);
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(!memory.memory_growing(0, 60, None).unwrap());
        assert!(memory.refused());
        assert!(memory.memory_growing(60, 100, None).unwrap());
    }

    #[test]
    fn a_guests_own_maximum_is_not_our_refusal() {
        let mut memory = limited(100, 0);
        assert!(!memory.memory_growing(0, 60, Some(50)).unwrap());
        assert!(!memory.refused());
    }

    #[test]
    fn resources_share_it_too_and_come_back_when_they_are_dropped() {
        let mut memory = limited(2 << 20, 0);
        let mut all = Vec::new();
        while memory.exceeded().is_none() && all.len() < 10_000 {
            memory.called();
            all.extend(memory.table.push(0_u8).ok());
        }
        let most = (UNCOUNTED + (2 << 20)) / holdings::RESOURCE_BYTES;
        assert!(
            (most - 200..=most + 1).contains(&all.len()),
            "{}",
            all.len()
        );

        let mut memory = limited(2 << 20, 0);
        for _ in 0..10_000 {
            memory.called();
            let one = memory.table.push(0_u8).unwrap();
            memory.table.delete(one).unwrap();
        }
        assert!(memory.exceeded().is_none() && memory.memory_growing(0, 2 << 20, None).unwrap());
    }

    #[test]
    fn a_table_has_a_million_elements_at_most() {
        let mut memory = limited(1 << 30, 0);
        assert!(!memory.table_growing(0, MOST_ELEMENTS + 1, None).unwrap());
        assert!(memory.table_growing(1, MOST_ELEMENTS, None).unwrap());
        assert!(!memory.table_growing(1, MOST_ELEMENTS + 1, None).unwrap());
        assert!(!memory.refused());
    }

    #[test]
    fn many_resources_and_large_ones_are_much_to_drop_and_others_are_not() {
        let filled = |calls: usize, kept: usize| {
            let mut memory = limited(1 << 30, 0);
            for call in 0..calls {
                memory.called();
                let one = memory.table.push(0_u8).unwrap();
                if call >= kept {
                    memory.table.delete(one).unwrap();
                }
            }
            memory
        };
        assert!(!filled(FEW_CALLS, 1).is_much());
        assert!(!filled(2 * FEW, FEW).is_much());
        assert!(filled(2 * FEW, FEW + 1).is_much());

        let mut large = filled(2 * FEW_CALLS, 0);
        for _ in 0..=FEW_BYTES / holdings::FIELDS_BYTES {
            let request = HostOutgoingRequest {
                method: Method::Get,
                scheme: None,
                authority: None,
                path_with_query: Some("x".repeat(holdings::FIELDS_BYTES)),
                headers: FieldMap::default(),
                body: None,
            };
            large.table.push(request).unwrap();
        }
        assert!(large.is_much());
    }

    #[test]
    fn large_tables_and_many_streams_are_much_to_drop() {
        let mut memory = limited(1 << 30, 0);
        let few = FEW_BYTES / TABLE_ELEMENT_BYTES;
        assert!(memory.table_growing(0, few, None).unwrap() && !memory.is_much());
        assert!(memory.table_growing(few, few + 1, None).unwrap() && memory.is_much());
        let mut memory = limited(1 << 30, 0);
        memory.keeps(FEW);
        assert!(!memory.is_much());
        memory.keeps(FEW + 1);
        assert!(memory.is_much());
    }

    #[test]
    fn what_is_reserved_can_be_kept_for_longer() {
        let all = MachineMemory::new(8 << 20);
        let package = Arc::new(PackageMemory::new(Arc::clone(&all)));
        let mut memory = Memory::new(1 << 30, 0, Arc::clone(&package));
        assert!(memory.take_reserved().is_none());
        assert!(memory.memory_growing(0, 4 << 20, None).unwrap());
        let reserved = memory.take_reserved();
        drop(memory);
        assert_eq!(all.reserved(), 2 << 20);
        drop(reserved);
        assert_eq!(all.reserved(), 0);
    }

    #[test]
    fn streams_and_tasks_share_it_too() {
        let mut memory = limited(2 << 20, 0);
        memory.keeps(2_000);
        assert!(memory.exceeded().is_none());
        assert!(!memory.memory_growing(0, 1 << 20, None).unwrap());
        memory.keeps(0);
        assert!(memory.memory_growing(0, 1 << 20, None).unwrap());
        memory.keeps(2_000);
        assert!(memory.exceeded().is_some());
    }

    #[test]
    fn bodies_that_are_kept_leave_less_for_the_memory() {
        let mut memory = limited(100, 0);
        let kept = Kept::new(100);
        memory.kept = Some(kept.clone());
        let charge = kept.charge(60).unwrap();
        assert!(!memory.memory_growing(0, 60, None).unwrap());
        drop(charge);
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(kept.charge(60).is_err());
    }
}
