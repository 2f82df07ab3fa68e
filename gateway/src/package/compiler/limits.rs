//! What compilers may take.

use std::time::Duration;

use crate::config::Server;

/// The limits of compilers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompileLimits {
    /// The time that one may take.
    pub(super) time: Duration,
    /// The bytes that one may take.
    pub(super) memory: u64,
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
            at_once: fit.clamp(1, cores.max(1)),
            cores: cores.max(1),
        }
    }
}
