//! A value per engine, created on first use.

use std::sync::OnceLock;

use super::{EngineId, EngineKind, StackSize, World};

/// A value per engine.
#[derive(Debug)]
pub(crate) struct OfEach<T> {
    pool: OfWorlds<T>,
    copy_on_write: OfWorlds<T>,
}

#[derive(Debug)]
struct OfWorlds<T> {
    proxy: OfStacks<T>,
    service: OfStacks<T>,
}

#[derive(Debug)]
struct OfStacks<T> {
    half: OnceLock<T>,
    one: OnceLock<T>,
    two: OnceLock<T>,
    four: OnceLock<T>,
    eight: OnceLock<T>,
}

impl<T> Default for OfEach<T> {
    fn default() -> Self {
        let none = || OfWorlds {
            proxy: OfStacks::default(),
            service: OfStacks::default(),
        };
        Self {
            pool: none(),
            copy_on_write: none(),
        }
    }
}

impl<T> Default for OfStacks<T> {
    fn default() -> Self {
        Self {
            half: OnceLock::new(),
            one: OnceLock::new(),
            two: OnceLock::new(),
            four: OnceLock::new(),
            eight: OnceLock::new(),
        }
    }
}

impl<T> OfEach<T> {
    fn place(&self, id: EngineId) -> &OnceLock<T> {
        let worlds = match id.kind {
            EngineKind::Pool => &self.pool,
            EngineKind::CopyOnWrite => &self.copy_on_write,
        };
        let stacks = match id.world {
            // Programs use the engine of their WASI version.
            World::Proxy | World::Command => &worlds.proxy,
            World::Service | World::CommandOf03 => &worlds.service,
        };
        match id.stack {
            StackSize::Half => &stacks.half,
            StackSize::One => &stacks.one,
            StackSize::Two => &stacks.two,
            StackSize::Four => &stacks.four,
            StackSize::Eight => &stacks.eight,
        }
    }

    /// The value of this engine, created by `make` on first use; if two threads create it at once, one wins.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn get_or_try<E>(&self, id: EngineId, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let place = self.place(id);
        match place.get() {
            Some(made) => Ok(made),
            None => {
                let made = make()?;
                Ok(place.get_or_init(|| made))
            }
        }
    }

    /// The existing values of a kind, with their engines.
    pub(super) fn made(&self, kind: EngineKind) -> Vec<(EngineId, &T)> {
        EngineId::all_of(kind)
            .filter_map(|id| Some((id, self.place(id).get()?)))
            .collect()
    }
}
