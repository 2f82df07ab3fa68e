//! The task of a compiler process.

use std::time::Duration;

use super::super::snapshot::SnapshotLimits;
use crate::engine::{EngineId, EngineKind, StackSize, World};

/// The words for making a component of a module: what comes of it is for no engine.
const ADAPT: [&str; 2] = ["adapt", "wasi:cli/command@0.2"];

/// The word for running a component's start-up, before what that may take.
const START_UP: &str = "start-up";

/// One task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::package) enum Task {
    /// To compile a component for an engine.
    Compile(EngineId),
    /// To make a component of a program of WASI 0.1.
    Adapt,
    /// To make a component as its start-up leaves it.
    StartUp(SnapshotLimits),
}

impl Task {
    /// It as arguments of a process.
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

    /// Reads those arguments.
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
