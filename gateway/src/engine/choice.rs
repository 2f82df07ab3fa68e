//! Chooses the engine for a component.

use std::fmt;

use super::{EngineId, EngineKind, StackSize, World};

/// Active data that is copied into memory at each instantiation takes about 70 µs a megabyte; having wasmtime map it
/// copy-on-write costs page faults and interrupts to other cores instead, which is as much at about this size.
const COPY_ON_WRITE_BYTES: u64 = 1 << 20;

/// What a component is, the engine for it, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Choice {
    /// Its world.
    pub world: World,
    /// The engine.
    pub engine: EngineKind,
    /// The configured stack size.
    pub stack: StackSize,
    /// The reason, for people.
    pub reason: String,
}

impl Choice {
    /// The engine for components of its world.
    pub(crate) fn id(&self) -> EngineId {
        EngineId {
            kind: self.engine,
            world: self.world,
            stack: self.stack,
        }
    }
}

/// The properties of a component on which the choice depends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighed {
    /// Its world.
    pub world: World,
    /// The configured stack size.
    pub stack: StackSize,
    /// Bytes of data that are copied for each instance.
    pub active_data: u64,
    /// Of these, bytes that can be mapped instead.
    pub imaged: u64,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "is made for {} and runs in engine {}: {}",
            self.world,
            self.engine.name(),
            self.reason
        )
    }
}

/// The engine for a component, unless configured. Without `wasmgate-pool` it is always the other one, so that a
/// configuration works on any system.
pub(super) fn choose(of: Weighed, wanted: Option<EngineKind>, has_pool: bool) -> Choice {
    let choice = |engine, reason: String| Choice {
        world: of.world,
        engine,
        stack: of.stack,
        reason,
    };
    if !has_pool {
        return choice(
            EngineKind::CopyOnWrite,
            "the other one needs Linux".to_owned(),
        );
    }
    if let Some(engine) = wanted {
        return choice(engine, "the configuration asks for it".to_owned());
    }
    let copied = of.active_data.saturating_sub(of.imaged);
    let engine = if copied > COPY_ON_WRITE_BYTES {
        EngineKind::CopyOnWrite
    } else {
        EngineKind::Pool
    };
    let mapped = if of.imaged > 0 {
        format!(", {} mapped", of.imaged)
    } else {
        String::new()
    };
    choice(
        engine,
        format!("{copied} bytes of data to copy for each instance{mapped}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(active_data: u64, imaged: u64, wanted: Option<EngineKind>, has_pool: bool) -> Choice {
        let of = Weighed {
            world: World::Proxy,
            stack: StackSize::default(),
            active_data,
            imaged,
        };
        super::choose(of, wanted, has_pool)
    }

    #[test]
    fn a_component_with_more_data_than_a_megabyte_is_mapped_copy_on_write() {
        let small = choose(1000, 0, None, true);
        assert_eq!(small.engine, EngineKind::Pool);
        assert!(small.reason.starts_with("1000 bytes"), "{}", small.reason);
        let large = choose((1 << 20) + 1, 0, None, true);
        assert_eq!(large.engine, EngineKind::CopyOnWrite);
        let mapped = choose(10 << 20, 10 << 20, None, true);
        assert_eq!(mapped.engine, EngineKind::Pool);
    }

    #[test]
    fn what_the_configuration_asks_for_is_not_weighed() {
        let choice = choose(0, 0, Some(EngineKind::CopyOnWrite), true);
        assert_eq!(choice.engine, EngineKind::CopyOnWrite);
    }

    #[test]
    fn without_a_pool_there_is_one_engine_whatever_the_configuration_asks_for() {
        for wanted in [None, Some(EngineKind::Pool), Some(EngineKind::CopyOnWrite)] {
            let choice = choose(1000, 0, wanted, false);
            assert_eq!(choice.engine, EngineKind::CopyOnWrite);
        }
    }
}
