//! Something that there is once for each engine, made when it is first needed.

use std::sync::OnceLock;

use super::{EngineId, EngineKind, World};

/// One of something for each engine.
#[derive(Debug)]
pub(crate) struct OfEach<T> {
    pool: OfWorlds<T>,
    copy_on_write: OfWorlds<T>,
}

#[derive(Debug)]
struct OfWorlds<T> {
    proxy: OnceLock<T>,
    service: OnceLock<T>,
}

impl<T> Default for OfEach<T> {
    fn default() -> Self {
        let none = || OfWorlds {
            proxy: OnceLock::new(),
            service: OnceLock::new(),
        };
        Self {
            pool: none(),
            copy_on_write: none(),
        }
    }
}

impl<T> OfEach<T> {
    fn kind(&self, kind: EngineKind) -> &OfWorlds<T> {
        match kind {
            EngineKind::Pool => &self.pool,
            EngineKind::CopyOnWrite => &self.copy_on_write,
        }
    }

    /// The one of this engine, made by `make` if there is none; of two that are made at once one stays.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn get_or_try<E>(&self, id: EngineId, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let worlds = self.kind(id.kind);
        let place = match id.world {
            // Both are of WASI 0.2: what suits the one suits the other.
            World::Proxy | World::Command => &worlds.proxy,
            World::Service => &worlds.service,
        };
        match place.get() {
            Some(made) => Ok(made),
            None => {
                let made = make()?;
                Ok(place.get_or_init(|| made))
            }
        }
    }

    /// Those of a kind that are made.
    pub(super) fn made(&self, kind: EngineKind) -> Vec<&T> {
        let worlds = self.kind(kind);
        [&worlds.proxy, &worlds.service]
            .into_iter()
            .filter_map(OnceLock::get)
            .collect()
    }
}
