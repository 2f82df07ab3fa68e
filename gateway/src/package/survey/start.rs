//! What an instance starts with.

/// The size of an instance before any of its code runs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::package) struct Start {
    /// Bytes of its memories and tables.
    pub(in crate::package) memory: u64,
    /// Bytes of its globals.
    pub(in crate::package) globals: u64,
    /// Instances of core modules.
    pub(in crate::package) core_instances: u64,
    /// Instances of components in it that have code.
    pub(in crate::package) components: u64,
    /// Memories of its own.
    pub(in crate::package) memories: u64,
    /// Tables of its own.
    pub(in crate::package) tables: u64,
    /// Functions, including imports.
    pub(in crate::package) functions: u64,
    /// Instances of the modules that are counted.
    pub(in crate::package) counted: u64,
    /// It contains a component that is passed as a value, of which nothing is known.
    pub(in crate::package) is_unknown: bool,
}

impl Start {
    /// Adds one beside it.
    pub(super) fn add(&mut self, other: Self) {
        *self = self.with(other, u64::saturating_add);
    }

    /// The larger of both in every respect.
    pub(super) fn max(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    fn with(self, other: Self, join: fn(u64, u64) -> u64) -> Self {
        Self {
            memory: join(self.memory, other.memory),
            globals: join(self.globals, other.globals),
            core_instances: join(self.core_instances, other.core_instances),
            components: join(self.components, other.components),
            memories: join(self.memories, other.memories),
            tables: join(self.tables, other.tables),
            functions: join(self.functions, other.functions),
            counted: join(self.counted, other.counted),
            is_unknown: self.is_unknown || other.is_unknown,
        }
    }
}

/// The one at an index; empty if it is not known.
pub(super) fn at(known: &[Start], index: u32) -> Start {
    usize::try_from(index)
        .ok()
        .and_then(|index| known.get(index))
        .copied()
        .unwrap_or_default()
}
