//! The task of a compiler process.

use std::time::Duration;

use super::super::snapshot::SnapshotLimits;
use crate::engine::{EngineId, EngineKind, StackSize, World};

/// The arguments for adapting a module, which needs no engine.
const ADAPT: [&str; 2] = ["adapt", "wasi:cli/command@0.2"];

/// The argument for running a start-up, before its limits.
const START_UP: &str = "start-up";

/// One task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::package) enum Task {
    /// Compile a component for an engine.
    Compile(EngineId),
    /// Turn a WASI 0.1 program into a component.
    Adapt,
    /// Take a snapshot of a component.
    StartUp(SnapshotLimits),
}

impl Task {
    /// The task as process arguments.
    pub(super) fn words(self) -> [String; 2] {
        match self {
            Self::Compile(id) => [id.kind.name(), id.world.name()].map(str::to_owned),
            Self::Adapt => ADAPT.map(str::to_owned),
            Self::StartUp(SnapshotLimits { memory, time }) => [
                START_UP.to_owned(),
                format!("{memory}/{}", time.as_millis()),
            ],
        }
    }

    /// Parses these arguments.
    pub(super) fn read(words: [&str; 2]) -> Option<Self> {
        if words == ADAPT {
            return Some(Self::Adapt);
        }
        let [kind, world] = words;
        if kind == START_UP {
            let (memory, milliseconds) = world.split_once('/')?;
            return Some(Self::StartUp(SnapshotLimits {
                memory: memory.parse().ok()?,
                time: Duration::from_millis(milliseconds.parse().ok()?),
            }));
        }
        let kinds = [EngineKind::Pool, EngineKind::CopyOnWrite];
        Some(Self::Compile(EngineId {
            kind: kinds.into_iter().find(|known| known.name() == kind)?,
            world: World::ALL.into_iter().find(|known| known.name() == world)?,
            stack: StackSize::default(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_read_from_its_own_words() {
        let compile = World::ALL.map(|world| {
            let kind = EngineKind::Pool;
            let stack = StackSize::default();
            Task::Compile(EngineId { kind, world, stack })
        });
        let start_up = Task::StartUp(SnapshotLimits {
            memory: 1 << 20,
            time: Duration::from_millis(1500),
        });
        for task in compile.into_iter().chain([Task::Adapt, start_up]) {
            let [one, two] = &task.words();
            assert_eq!(Task::read([one, two]), Some(task));
        }
        assert_eq!(Task::read(["make", "coffee"]), None);
    }
}
