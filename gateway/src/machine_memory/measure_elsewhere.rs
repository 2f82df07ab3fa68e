//! The memory of this process and of the machine on other systems.

use std::io;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Measures this process repeatedly.
pub(super) struct Measure {
    system: System,
    own: Pid,
}

impl Measure {
    /// # Errors
    /// When it cannot be read.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            system: System::new(),
            own: sysinfo::get_current_pid().map_err(io::Error::other)?,
        })
    }

    /// The resident memory of this process, in bytes, including files.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn used(&mut self) -> io::Result<usize> {
        let (own, what) = ([self.own], ProcessRefreshKind::nothing().with_memory());
        self.system
            .refresh_processes_specifics(ProcessesToUpdate::Some(&own), false, what);
        let process = self.system.process(self.own);
        let bytes = process.ok_or_else(|| io::Error::other("the system does not tell"))?;
        Ok(usize::try_from(bytes.memory()).unwrap_or(usize::MAX))
    }
}

/// The memory of the machine in bytes.
pub(crate) fn total() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory();
    Some(system.total_memory()).filter(|bytes| *bytes > 0)
}
