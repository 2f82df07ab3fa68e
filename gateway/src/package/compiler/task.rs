//! What a compiler's process is to do.

use crate::engine::{EngineId, EngineKind, World};

/// The words for making a component of a module: what comes of it is for no engine.
const ADAPT: [&str; 2] = ["adapt", "wasi:cli/command@0.2"];

/// One task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::package) enum Task {
    /// To compile a component for an engine.
    Compile(EngineId),
    /// To make a component of a program of WASI 0.1.
    Adapt,
}

impl Task {
    /// It as arguments of a process.
    pub(super) fn words(self) -> [&'static str; 2] {
        match self {
            Self::Compile(id) => [id.kind.name(), id.world.name()],
            Self::Adapt => ADAPT,
        }
    }

    /// Reads those arguments.
    pub(super) fn read(words: [&str; 2]) -> Option<Self> {
        if words == ADAPT {
            return Some(Self::Adapt);
        }
        let [kind, world] = words;
        let kinds = [EngineKind::Pool, EngineKind::CopyOnWrite];
        Some(Self::Compile(EngineId {
            kind: kinds.into_iter().find(|known| known.name() == kind)?,
            world: World::ALL.into_iter().find(|known| known.name() == world)?,
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
            Task::Compile(EngineId { kind, world })
        });
        for task in compile.into_iter().chain([Task::Adapt]) {
            assert_eq!(Task::read(task.words()), Some(task));
        }
        assert_eq!(Task::read(["make", "coffee"]), None);
    }
}
