//! The ticker, at whose ticks a running guest can be made to yield.

use std::{thread, time::Duration};

use wasmtime::Engine;

/// A guest that spins holds its worker for at most two of these before the requests beside it are served; shorter
/// ones cost wake-ups of an idle machine.
const TICK: Duration = Duration::from_millis(10);

/// Advances the engine's epoch until the engine is gone.
pub(super) fn start(engine: &Engine) {
    let weak = engine.weak();
    let ticker = thread::Builder::new().name("epoch".to_owned());
    let started = ticker.spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    });
    if let Err(error) = started {
        tracing::error!(%error, "no thread for the epoch: a guest that spins will hold its worker");
    }
}
