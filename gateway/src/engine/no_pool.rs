//! The place of `wasmgate-pool` on systems that it does not know: every package runs in the second engine.

use std::convert::Infallible;

use wasmtime::{Config, Engine};

use super::{Slots, families::Families};

/// Leaves an engine that only compiles as it is.
#[expect(
    clippy::unnecessary_wraps,
    reason = "there is one that can fail where there is a pool"
)]
pub(super) fn lay_out(_: &mut Config) -> wasmtime::Result<()> {
    Ok(())
}

/// An engine that nobody has.
pub(super) struct Pooled(Infallible);

#[expect(
    clippy::unnecessary_wraps,
    reason = "there is one that can fail where there is a pool"
)]
impl Pooled {
    pub(super) fn new(_: Config) -> wasmtime::Result<Option<Self>> {
        Ok(None)
    }

    pub(super) fn engine(&self) -> &Engine {
        match self.0 {}
    }

    pub(super) fn slots(&self) -> Slots {
        match self.0 {}
    }

    pub(super) fn trim(&self) {
        match self.0 {}
    }

    pub(super) fn show(&self, _: &mut Families) {
        match self.0 {}
    }
}
