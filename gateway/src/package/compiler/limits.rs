//! Limits of compiler processes.

use std::time::Duration;

use crate::{config::Server, machine_memory};

/// The minimum memory of a compiler, however little is left: a small component takes less.
const LEAST: u64 = 64 << 20;

/// The limits of compilers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompileLimits {
    /// The time-out of one compiler.
    pub(super) time: Duration,
    /// The configured memory limit of one compiler, in bytes.
    pub(super) memory: u64,
    /// The memory limit of the gateway with its compilers: in a container the kernel kills them together.
    room: u64,
    /// The number of concurrent compilers.
    pub(super) at_once: usize,
    /// The number of cores that they share.
    pub(super) cores: usize,
}

impl CompileLimits {
    /// The limits of a configuration, on a machine with `cores` and `memory` for the whole gateway, which limits the
    /// number of concurrent compilers.
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

    /// The memory limit of a compiler that starts now: it must fit beside the gateway's memory and the other compilers.
    pub(super) fn memory_now(&self) -> u64 {
        let left = self
            .room
            .saturating_sub(machine_memory::used_now().unwrap_or_default());
        let each = left.checked_div(self.at_once as u64).unwrap_or(left);
        self.memory.min(each.max(LEAST))
    }
}
