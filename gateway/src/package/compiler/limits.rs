//! Limits of compiler processes.

use std::time::Duration;

use crate::{config::Server, machine_memory};

/// The memory that a compiler has at the least, however little is left: a small component takes less.
const LEAST: u64 = 64 << 20;

/// The limits of compilers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompileLimits {
    /// The time that one may take.
    pub(super) time: Duration,
    /// The bytes that one may take as it is configured.
    pub(super) memory: u64,
    /// The bytes that the whole gateway may take, its compilers with it: in a container the kernel ends them all
    /// together.
    room: u64,
    /// Compilers at once.
    pub(super) at_once: usize,
    /// Cores that they share.
    pub(super) cores: usize,
}

impl CompileLimits {
    /// Those of a configuration on so many `cores`, with so many bytes of `memory` for the whole gateway: no more
    /// compilers at once than fit in.
    pub(crate) fn new(server: &Server, cores: usize, memory: u64) -> Self {
        let fit = memory.checked_div(server.compile_memory).unwrap_or(1);
        let fit = usize::try_from(fit).unwrap_or(usize::MAX);
        Self {
            time: server.compile_timeout,
            memory: server.compile_memory,
            room: memory,
            at_once: fit.clamp(1, cores.max(1)),
            cores: cores.max(1),
        }
    }

    /// The bytes that one that starts now may take: beside what the gateway has there must be room for it, and for as
    /// many others as there may be.
    pub(super) fn memory_now(&self) -> u64 {
        let left = self
            .room
            .saturating_sub(machine_memory::used_now().unwrap_or_default());
        let each = left.checked_div(self.at_once as u64).unwrap_or(left);
        self.memory.min(each.max(LEAST))
    }
}
