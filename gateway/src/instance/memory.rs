//! The memory of one instance: all of its linear memories and tables together stay below one limit.

use wasmtime::ResourceLimiter;

/// The cost of a table element to the host, in bytes: a pointer.
const TABLE_ELEMENT_BYTES: usize = 8;

/// Adds up what an instance has and refuses what goes beyond its limit.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    bytes: usize,
    limit: usize,
    refused: bool,
}

impl MemoryLimit {
    /// A limit in bytes; what does not fit into the address space is as good as unlimited.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            bytes: 0,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            refused: false,
        }
    }

    /// Returns whether the instance was ever refused what it asked for.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let wanted = self.bytes.saturating_add(desired.saturating_sub(current));
        if wanted > self.limit {
            self.refused = true;
            return false;
        }
        self.bytes = wanted;
        true
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // What the guest's own maximum forbids is not this limit's refusal.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(self.grow(bytes(current), bytes(desired)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_memories_share_one_limit() {
        let mut limit = MemoryLimit::new(100);
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(!limit.memory_growing(0, 60, None).unwrap());
        assert!(limit.refused());
        assert!(limit.memory_growing(60, 100, None).unwrap());
    }

    #[test]
    fn a_guests_own_maximum_is_not_our_refusal() {
        let mut limit = MemoryLimit::new(100);
        assert!(!limit.memory_growing(0, 60, Some(50)).unwrap());
        assert!(!limit.refused());
    }
}
